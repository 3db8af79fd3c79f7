package matrix

import (
	"bytes"
	"strconv"
)

// members walks the members of an object in canonical JSON without decoding it. It never panics on other
// input: it stops, and bad tells so.
type members struct {
	b   []byte
	pos int
	bad bool
}

// membersOf starts a walk; anything but an object has no members and is bad.
func membersOf(object []byte) members {
	if len(object) < 2 || object[0] != '{' {
		return members{bad: true}
	}
	return members{b: object, pos: 1}
}

// next gives the key without quotes, still escaped, and the value's text.
func (m *members) next() (key, value []byte, ok bool) {
	if m.bad || m.pos >= len(m.b) || m.b[m.pos] == '}' {
		m.bad = m.bad || m.pos != len(m.b)-1
		return nil, nil, false
	}
	m.bad = true
	keyEnd := skipString(m.b, m.pos)
	if keyEnd < 0 || keyEnd >= len(m.b) || m.b[keyEnd] != ':' {
		return nil, nil, false
	}
	end := skipValue(m.b, keyEnd+1)
	if end < 0 || end >= len(m.b) {
		return nil, nil, false
	}
	key, value = m.b[m.pos+1:keyEnd-1], m.b[keyEnd+1:end]
	switch {
	case m.b[end] == ',' && end+1 < len(m.b) && m.b[end+1] == '"':
		m.pos = end + 1
	case m.b[end] == '}':
		m.pos = end
	default:
		return nil, nil, false
	}
	m.bad = false
	return key, value, true
}

// elements walks an array in canonical JSON.
type elements struct {
	b   []byte
	pos int
	bad bool
}

func elementsOf(array []byte) elements {
	if len(array) < 2 || array[0] != '[' {
		return elements{bad: true}
	}
	return elements{b: array, pos: 1}
}

func (e *elements) next() (value []byte, ok bool) {
	if e.bad || e.pos >= len(e.b) || e.b[e.pos] == ']' {
		e.bad = e.bad || e.pos != len(e.b)-1
		return nil, false
	}
	end := skipValue(e.b, e.pos)
	if end < 0 || end >= len(e.b) || e.b[end] != ',' && e.b[end] != ']' {
		e.bad = true
		return nil, false
	}
	value = e.b[e.pos:end]
	e.pos = end
	if e.b[end] == ',' {
		e.pos++
	}
	return value, true
}

// skipString returns the index behind the string that starts at i, -1 if there is none.
func skipString(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	i++
	// Why: the next quote is looked for again only when an escape has passed it, else many escapes before a far
	// quote would cost the square of their number.
	for quote := -1; i < len(b); {
		if quote < i {
			n := bytes.IndexByte(b[i:], '"')
			if n < 0 {
				return -1
			}
			quote = i + n
		}
		back := bytes.IndexByte(b[i:quote], '\\')
		if back < 0 {
			return quote + 1
		}
		i += back + 2
	}
	return -1
}

// skipValue returns the index behind the value that starts at i, -1 if there is none.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] != ':' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

func skipNested(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			if i = skipString(b, i) - 1; i < 0 {
				return -1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// isObject reports whether a canonical value is an object.
func isObject(v []byte) bool { return len(v) > 0 && v[0] == '{' }

// find returns the value of a key in a canonical object, nil if it is absent.
func find(object []byte, key string) []byte {
	m := membersOf(object)
	for k, v, ok := m.next(); ok; k, v, ok = m.next() {
		if string(k) == key {
			return v
		}
	}
	return nil
}

// text decodes a canonical string value; ok is false for values of other kinds.
func text(v []byte) (s string, ok bool) {
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		return "", false
	}
	v = v[1 : len(v)-1]
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v), true
	}
	return string(appendUnescaped(make([]byte, 0, len(v)), v)), true
}

// integer decodes a canonical integer value.
func integer(v []byte) (int64, bool) {
	if len(v) == 0 || len(v) > 20 {
		return 0, false
	}
	var n int64
	digits := v
	if v[0] == '-' {
		digits = v[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		n, err := strconv.ParseInt(string(v), 10, 64)
		return n, err == nil
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	if v[0] == '-' {
		n = -n
	}
	return n, true
}

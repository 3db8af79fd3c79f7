package matrix

import (
	"bytes"
	"slices"
)

// MaxJSONDepth bounds the nesting of arrays and objects in anything that is made canonical.
const MaxJSONDepth = 512

// CanonicalJSON re-encodes any JSON value canonically: shortest form, keys sorted by code point, the last of
// equal keys kept. Numbers outside the canonical range stay as they are written, as room versions 1 to 5
// need it; -0 becomes 0 and whole numbers with an exponent are written out. Invalid UTF-8 and lone surrogates
// are refused. Spec: appendices/#canonical-json
func CanonicalJSON(raw []byte) ([]byte, error) {
	return AppendCanonical(make([]byte, 0, len(raw)), raw, false)
}

// CanonicalJSONStrict is CanonicalJSON for room versions 6 and later: numbers must be integers within ±(2⁵³-1)
// without exponent, fraction or negative zero, and equal keys are refused, since what they mean is
// ambiguous. Spec: rooms/v6/#canonical-json
func CanonicalJSONStrict(raw []byte) ([]byte, error) {
	return AppendCanonical(make([]byte, 0, len(raw)), raw, true)
}

// AppendCanonical appends the canonical form of one JSON value to dst.
func AppendCanonical(dst, raw []byte, strict bool) ([]byte, error) {
	var room [16]canonMember
	c := canon{in: raw, out: dst, strict: strict, members: room[:0]}
	if err := c.value(); err != nil {
		return nil, err
	}
	if c.space(); c.pos < len(c.in) {
		return nil, NotJSON("Unexpected text after the JSON value.")
	}
	return c.out, nil
}

// canon is one pass over the input that writes the output as it goes. An object is written in the order of
// its text and rearranged at its end only if its keys were not sorted.
type canon struct {
	in      []byte
	pos     int
	out     []byte
	strict  bool
	depth   int
	members []canonMember // stack of the members of all open objects
	scratch []byte
}

// canonMember locates `"key":value` in out.
type canonMember struct{ start, keyEnd, end int }

func (c *canon) space() {
	for c.pos < len(c.in) {
		switch c.in[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

// peek skips white space and gives the next byte, 0 at the end.
func (c *canon) peek() byte {
	c.space()
	if c.pos < len(c.in) {
		return c.in[c.pos]
	}
	return 0
}

func (c *canon) value() error {
	switch b := c.peek(); b {
	case '{', '[':
		return c.nested(b)
	case '"':
		return c.str()
	case 't':
		return c.literal("true")
	case 'f':
		return c.literal("false")
	case 'n':
		return c.literal("null")
	default:
		if b == '-' || b >= '0' && b <= '9' {
			return c.number()
		}
		return c.syntax()
	}
}

func (c *canon) syntax() error {
	if c.pos >= len(c.in) {
		return NotJSON("Unexpected end of JSON.")
	}
	return NotJSON("Malformed JSON.")
}

func (c *canon) literal(text string) error {
	if len(c.in)-c.pos < len(text) || string(c.in[c.pos:c.pos+len(text)]) != text {
		return c.syntax()
	}
	c.pos += len(text)
	c.out = append(c.out, text...)
	return nil
}

func (c *canon) nested(open byte) (err error) {
	if c.depth++; c.depth > MaxJSONDepth {
		return BadJSON("JSON is nested too deeply.")
	}
	c.pos++
	if open == '{' {
		err = c.object()
	} else {
		err = c.array()
	}
	c.depth--
	return err
}

func (c *canon) array() error {
	c.out = append(c.out, '[')
	if c.peek() == ']' {
		c.pos++
		c.out = append(c.out, ']')
		return nil
	}
	for {
		if err := c.value(); err != nil {
			return err
		}
		b := c.peek()
		if b != ',' && b != ']' {
			return c.syntax()
		}
		c.pos++
		c.out = append(c.out, b)
		if b == ']' {
			return nil
		}
	}
}

func (c *canon) object() error {
	first, start, sorted := len(c.members), len(c.out)+1, true
	c.out = append(c.out, '{')
	if c.peek() == '}' {
		c.pos++
		c.out = append(c.out, '}')
		return nil
	}
	for {
		m, err := c.member()
		if err != nil {
			return err
		}
		if n := len(c.members); n > first && compareKeys(c.members[n-1].key(c.out, 0), m.key(c.out, 0)) >= 0 {
			sorted = false
		}
		c.members = append(c.members, m)
		b := c.peek()
		if b != ',' && b != '}' {
			return c.syntax()
		}
		c.pos++
		if b == '}' {
			break
		}
		c.out = append(c.out, ',')
	}
	if !sorted {
		if err := c.rearrange(start, c.members[first:]); err != nil {
			return err
		}
	}
	c.members = c.members[:first]
	c.out = append(c.out, '}')
	return nil
}

// member writes `"key":value`.
func (c *canon) member() (canonMember, error) {
	m := canonMember{start: len(c.out)}
	if c.peek() != '"' {
		return m, c.syntax()
	}
	if err := c.str(); err != nil {
		return m, err
	}
	m.keyEnd = len(c.out)
	if c.peek() != ':' {
		return m, c.syntax()
	}
	c.pos++
	c.out = append(c.out, ':')
	err := c.value()
	m.end = len(c.out)
	return m, err
}

// key is the key's text between the quotes, in canonical escapes, in a buffer that lacks the first offset bytes.
func (m canonMember) key(buffer []byte, offset int) []byte {
	return buffer[m.start-offset+1 : m.keyEnd-offset-1]
}

// rearrange sorts the members of the object whose first member starts at start.
func (c *canon) rearrange(start int, members []canonMember) error {
	c.scratch = append(c.scratch[:0], c.out[start:]...)
	old := c.scratch
	slices.SortStableFunc(members, func(a, b canonMember) int {
		return compareKeys(a.key(old, start), b.key(old, start))
	})
	c.out = c.out[:start]
	for i, m := range members {
		if i+1 < len(members) && bytes.Equal(m.key(old, start), members[i+1].key(old, start)) {
			if c.strict {
				return BadJSON("A JSON object has the same key twice.")
			}
			continue
		}
		if len(c.out) > start {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, old[m.start-start:m.end-start]...)
	}
	return nil
}

// compareKeys orders canonical key texts by the code points that they stand for.
func compareKeys(a, b []byte) int {
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return bytes.Compare(a, b)
	}
	return bytes.Compare(appendUnescaped(nil, a), appendUnescaped(nil, b))
}

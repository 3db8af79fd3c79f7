package matrix

import (
	"unicode/utf16"
	"unicode/utf8"
)

// str copies a string: plain runs as they are, escapes in their shortest form.
func (c *canon) str() error {
	c.pos++
	c.out = append(c.out, '"')
	for {
		start := c.pos
		end, ascii := plainRun(c.in, start)
		run := c.in[start:end]
		if !ascii && !utf8.Valid(run) {
			return NotJSON("The JSON text is not valid UTF-8.")
		}
		c.out = append(c.out, run...)
		c.pos = end
		if end >= len(c.in) {
			return c.syntax()
		}
		switch c.in[end] {
		case '"':
			c.pos++
			c.out = append(c.out, '"')
			return nil
		case '\\':
			if err := c.escape(); err != nil {
				return err
			}
		default:
			return NotJSON("A control character in a JSON string is not escaped.")
		}
	}
}

// plainRun finds the end of the bytes that need no thought: no quote, backslash or control character.
func plainRun(b []byte, i int) (end int, ascii bool) {
	var all byte
	for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
		all |= b[i]
		i++
	}
	return i, all < utf8.RuneSelf
}

// escape reads one escape sequence (two for a surrogate pair) at pos.
func (c *canon) escape() error {
	if c.pos+1 >= len(c.in) {
		c.pos = len(c.in)
		return c.syntax()
	}
	var r rune
	switch e := c.in[c.pos+1]; e {
	case '"', '\\', '/':
		r = rune(e)
	case 'b':
		r = '\b'
	case 'f':
		r = '\f'
	case 'n':
		r = '\n'
	case 'r':
		r = '\r'
	case 't':
		r = '\t'
	case 'u':
		return c.unicodeEscape()
	default:
		return NotJSON("Unknown escape sequence in a JSON string.")
	}
	c.pos += 2
	c.out = appendRuneEscaped(c.out, r)
	return nil
}

func (c *canon) unicodeEscape() error {
	r, ok := hex4(c.in, c.pos+2)
	if !ok {
		return NotJSON("Malformed \\u escape in a JSON string.")
	}
	c.pos += 6
	if utf16.IsSurrogate(r) {
		if c.pos+1 >= len(c.in) || c.in[c.pos] != '\\' || c.in[c.pos+1] != 'u' {
			return BadJSON("A JSON string has a surrogate without its pair.")
		}
		low, ok := hex4(c.in, c.pos+2)
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return BadJSON("A JSON string has a surrogate without its pair.")
		}
		c.pos += 6
	}
	c.out = appendRuneEscaped(c.out, r)
	return nil
}

// hex4 reads four hexadecimal digits at b[i:].
func hex4(b []byte, i int) (rune, bool) {
	if i+4 > len(b) {
		return 0, false
	}
	var r rune
	for _, d := range b[i : i+4] {
		switch {
		case d >= '0' && d <= '9':
			d -= '0'
		case d >= 'a' && d <= 'f':
			d -= 'a' - 10
		case d >= 'A' && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// appendRuneEscaped writes one code point as canonical JSON has it inside a string.
func appendRuneEscaped(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if r < 0x20 {
		return append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
	}
	return utf8.AppendRune(dst, r)
}

// AppendJSONString appends s as a canonical JSON string, quotes included. Invalid UTF-8 becomes U+FFFD.
func AppendJSONString[S ~string](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if b := s[i]; b >= 0x20 && b < utf8.RuneSelf && b != '"' && b != '\\' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:]))
		dst = append(dst, s[start:i]...)
		dst = appendRuneEscaped(dst, r)
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// appendUnescaped decodes the inside of a canonical JSON string.
func appendUnescaped(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 >= len(b) {
			dst = append(dst, b[i])
			continue
		}
		i++
		switch b[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, _ := hex4(b, i+1)
			dst = utf8.AppendRune(dst, r)
			i = min(i+4, len(b)-1)
		default:
			dst = append(dst, b[i])
		}
	}
	return dst
}

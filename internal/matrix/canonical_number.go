package matrix

import "strconv"

// maxSafeInteger is the greatest integer that canonical JSON allows, 2⁵³-1. Spec: appendices/#canonical-json
const maxSafeInteger = 1<<53 - 1

// number copies a number by the grammar of JSON, canonical or as it is.
func (c *canon) number() error {
	n, ok := scanNumber(c.in[c.pos:])
	if !ok {
		return c.syntax()
	}
	text := c.in[c.pos : c.pos+n.end]
	c.pos += n.end
	if !c.strict {
		c.out = n.appendLenient(c.out, text)
		return nil
	}
	if n.fraction || n.exponent > 0 {
		return BadJSON("Numbers must be integers, without fraction or exponent.")
	}
	digits := text
	if text[0] == '-' {
		digits = text[1:]
		if digits[0] == '0' {
			return BadJSON("Negative zero is not allowed.")
		}
	}
	if !safeInteger(digits) {
		return BadJSON("An integer is outside of the range ±(2^53-1).")
	}
	c.out = append(c.out, text...)
	return nil
}

// safeInteger reports whether digits, without leading zeros, are at most 2⁵³-1.
func safeInteger(digits []byte) bool {
	const limit = "9007199254740991"
	return len(digits) < len(limit) || len(digits) == len(limit) && string(digits) <= limit
}

// numberShape is what a number's text consists of.
type numberShape struct {
	intEnd   int  // end of sign and integer digits
	fraction bool // has a decimal point
	exponent int  // index of the first byte behind "e"; 0 without exponent
	end      int
}

// scanNumber reads a JSON number at the start of b.
func scanNumber(b []byte) (n numberShape, ok bool) {
	i := 0
	if i < len(b) && b[i] == '-' {
		i++
	}
	first := i
	i = skipDigits(b, i)
	if i == first || b[first] == '0' && i > first+1 {
		return n, false
	}
	n.intEnd = i
	if i < len(b) && b[i] == '.' {
		n.fraction = true
		j := skipDigits(b, i+1)
		if j == i+1 {
			return n, false
		}
		i = j
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		n.exponent = i
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		j := skipDigits(b, i)
		if j == i {
			return n, false
		}
		i = j
	}
	n.end = i
	return n, true
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

// appendLenient writes -0 as 0, and 1e10 as 10000000000 where that is exact and in range; all else verbatim.
// Why: numbers with a decimal point stay, because the peers that sent them hashed them in this very form.
func (n numberShape) appendLenient(dst, text []byte) []byte {
	if n.fraction {
		return append(dst, text...)
	}
	sign, digits := text[:0], text[:n.intEnd]
	if text[0] == '-' {
		sign, digits = text[:1], text[1:n.intEnd]
	}
	if len(digits) == 1 && digits[0] == '0' {
		return append(dst, '0')
	}
	if n.exponent == 0 {
		return append(dst, text...)
	}
	exp, err := strconv.Atoi(string(text[n.exponent:n.end]))
	if err != nil || exp > 16 {
		return append(dst, text...)
	}
	var room [64]byte
	whole := append(room[:0], digits...)
	for ; exp > 0; exp-- {
		whole = append(whole, '0')
	}
	for ; exp < 0 && len(whole) > 1 && whole[len(whole)-1] == '0'; exp++ {
		whole = whole[:len(whole)-1]
	}
	if exp < 0 || !safeInteger(whole) {
		return append(dst, text...)
	}
	return append(append(dst, sign...), whole...)
}

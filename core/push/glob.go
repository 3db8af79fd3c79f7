package push

import (
	"strings"
	"unicode/utf8"
)

// glob reports whether a whole text matches a pattern in which "*" stands for any characters and "?" for one. Both are
// in lower case already. Spec: appendices/#glob-style-matching
func glob(pattern, text string) bool {
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			_, size := utf8.DecodeRuneInString(text[t:])
			p++
			t += size
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// globWords reports whether a stretch of text that starts and ends at word boundaries matches the pattern.
func globWords(pattern, text string) bool {
	if !strings.ContainsAny(pattern, "*?") {
		return containsWord(text, pattern)
	}
	// Why: the work grows with the square of the text; a longer one is looked at up to here only.
	text = text[:min(len(text), 1024)]
	for i := 0; i <= len(text); i++ {
		if !boundaryBefore(text, i) {
			continue
		}
		for j := len(text); j >= i; j-- {
			if boundaryAfter(text, j) && glob(pattern, text[i:j]) {
				return true
			}
		}
	}
	return false
}

// containsWord reports whether the text contains a word or phrase between word boundaries.
func containsWord(text, word string) bool {
	for from := 0; word != "" && from <= len(text); {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		if boundaryBefore(text, i) && boundaryAfter(text, i+len(word)) {
			return true
		}
		from = i + 1
	}
	return false
}

func boundaryBefore(text string, i int) bool { return i == 0 || !wordByte(text[i-1]) }

func boundaryAfter(text string, i int) bool { return i >= len(text) || !wordByte(text[i]) }

// wordByte says what a word is made of: only these, whatever the script. Spec: client-server-api/#conditions-1
func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// Package words cuts text into the words by which it is found: without case, accents and elided articles, so that
// "ecole" finds "l'École". It is pure; the index of searches and the searches themselves must both use it.
package words

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of what one text gives: words, and the bytes of a word.
const (
	maxWords = 2000
	maxWord  = 64
)

// Of lists the words of a text as they are compared, in their order, repeated ones too. A word consists of letters and
// digits only.
func Of(text string) []string {
	var out []string
	walk(text, func(_, word string) bool {
		out = append(out, word)
		return len(out) < maxWords
	})
	return out
}

// Unique lists the different words of a text. A text of nothing but elided articles gives these.
func Unique(text string) []string {
	list := Of(text)
	if len(list) == 0 {
		list = Of(strings.Map(unquote, text))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// In lists the words of a text, as they are written there, that are among those looked for.
func In(text string, wanted []string) []string {
	var out []string
	walk(text, func(raw, word string) bool {
		if slices.Contains(wanted, word) && !slices.Contains(out, raw) {
			out = append(out, raw)
		}
		return len(out) < maxWords
	})
	return out
}

// walk calls fn for each word with its written and its compared form, until fn says that it is enough.
func walk(text string, fn func(raw, word string) bool) {
	start := -1
	for i, r := range text {
		switch {
		case ideographic(r):
			if start >= 0 && !emit(text[start:i], fn) || !emit(text[i:i+utf8.RuneLen(r)], fn) {
				return
			}
			start = -1
		case part(r):
			if start < 0 {
				start = i
			}
		case start >= 0:
			raw := text[start:i]
			start = -1
			if apostrophe(r) && elided(raw) && followed(text[i+utf8.RuneLen(r):]) {
				continue
			}
			if !emit(raw, fn) {
				return
			}
		}
	}
	if start >= 0 {
		emit(text[start:], fn)
	}
}

func emit(raw string, fn func(raw, word string) bool) bool {
	word := fold(raw)
	return word == "" || fn(raw, word)
}

// part reports whether a rune belongs to a word. Marks do: they are the accents of decomposed letters.
func part(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) && r != '\u02bc' || unicode.IsNumber(r) || unicode.IsMark(r))
}

// ideographic reports whether a rune is a word of its own: the scripts that put no spaces between words.
func ideographic(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) && unicode.IsLetter(r)
}

func apostrophe(r rune) bool { return r == '\'' || r == '\u2019' || r == '\u02bc' || r == '\u2032' }

func unquote(r rune) rune {
	if apostrophe(r) {
		return ' '
	}
	return r
}

func followed(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return part(r)
}

// elided reports whether a word is what French and Italian leave of an article, a pronoun or a conjunction.
func elided(raw string) bool {
	if len(raw) > len("jusqu") {
		switch strings.ToLower(raw) {
		case "lorsqu", "puisqu", "quoiqu", "dell", "nell", "dall", "sull":
			return true
		}
		return false
	}
	switch strings.ToLower(raw) {
	case "l", "d", "j", "m", "t", "s", "c", "n", "qu", "jusqu", "all", "un":
		return true
	}
	return false
}

// fold gives a word the form in which it is compared.
func fold(raw string) string {
	if ascii(raw) {
		return cut(strings.ToLower(raw))
	}
	var sb strings.Builder
	for _, r := range norm.NFKD.String(raw) {
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		switch r = unicode.ToLower(r); r {
		case 'œ':
			sb.WriteString("oe")
		case 'æ':
			sb.WriteString("ae")
		case 'ß':
			sb.WriteString("ss")
		case 'ø':
			sb.WriteByte('o')
		case 'ł':
			sb.WriteByte('l')
		case 'đ', 'ð':
			sb.WriteByte('d')
		case 'þ':
			sb.WriteString("th")
		case 'ı':
			sb.WriteByte('i')
		case 'ς':
			sb.WriteRune('σ')
		default:
			if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Mc, r) {
				sb.WriteRune(r)
			}
		}
	}
	return cut(sb.String())
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// cut shortens a word to what is compared of it.
func cut(word string) string {
	if len(word) <= maxWord {
		return word
	}
	end := maxWord
	for end > 0 && !utf8.RuneStart(word[end]) {
		end--
	}
	return word[:end]
}

package storage

import (
	"strings"
	"unicode/utf8"
)

// clean replaces in place what a text column cannot hold. Every text that is written, and every text that is looked
// for, goes through here or through [cleanText], so that what was stored is also found.
func clean(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && !storable(s) {
			args[i] = cleanText(s)
		}
	}
	return args
}

// storable reports whether PostgreSQL would take the text. SQLite would take any, but then the two would differ.
func storable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c == 0 || c >= utf8.RuneSelf {
			return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
		}
	}
	return true
}

// cleanText replaces NUL and invalid UTF-8 by U+FFFD.
func cleanText(s string) string {
	if storable(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

package media

import (
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"rempart/internal/matrix"
)

// longestName bounds names and types of files, in bytes.
const longestName = 255

// cleanName keeps of a file's name the part behind the last path separator, without control characters and without
// what turns the direction of text, so that a name can neither leave a folder nor hide its ending.
func cleanName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	if name == "." || name == ".." {
		return ""
	}
	for len(name) > longestName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// CleanName is the name under which a file may be served when a request asks for that name.
func CleanName(name string) string { return cleanName(name) }

// cleanType is a content type as it was given, or the one of unknown bytes.
func cleanType(text string) string {
	if _, _, err := mime.ParseMediaType(text); err != nil || len(text) > longestName || strings.ContainsFunc(text, unicode.IsControl) {
		return "application/octet-stream"
	}
	return text
}

// ParseAddress checks the two parts of an mxc URI. Spec: client-server-api/#content-repo-security-considerations
func ParseAddress(origin, id string) (Address, error) {
	server, err := matrix.ParseServerName(origin)
	if err != nil {
		return Address{}, err
	}
	if id == "" || len(id) > longestName || strings.ContainsFunc(id, func(r rune) bool { return !idRune(r) }) {
		return Address{}, matrix.InvalidParam("A media id has only letters, digits, _ and -.")
	}
	return Address{Origin: server, ID: id}, nil
}

func idRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

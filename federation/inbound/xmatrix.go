package inbound

import (
	"strings"

	"rempart/internal/matrix"
)

// xMatrix is what a request says of its signature.
type xMatrix struct {
	origin, destination matrix.ServerName
	key, sig            string
}

// maxHeader bounds an Authorization header.
const maxHeader = 2048

// parseXMatrix reads an Authorization header of the scheme X-Matrix; ok is false for one of another scheme, and for a malformed
// one. Parameters that are not known are passed over, none may be there twice.
// Spec: server-server-api/#request-authentication
func parseXMatrix(header string) (x xMatrix, ok bool) {
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "X-Matrix") || len(header) > maxHeader {
		return x, false
	}
	seen := map[string]string{}
	for rest = strings.Trim(rest, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		name, value, tail, ok := parameter(rest)
		if !ok {
			return x, false
		}
		if _, twice := seen[name]; twice {
			return x, false
		}
		seen[name], rest = value, tail
		if rest = strings.TrimLeft(rest, " \t"); rest != "" && rest[0] != ',' {
			return x, false
		}
	}
	x.key, x.sig = seen["key"], seen["sig"]
	if x.sig == "" {
		x.sig = seen["signature"] // Why: the text of the specification calls it so, its example "sig"
	}
	origin, err := matrix.ParseServerName(seen["origin"])
	if err != nil || x.key == "" || x.sig == "" {
		return x, false
	}
	x.origin, x.destination = origin, matrix.ServerName(seen["destination"])
	return x, true
}

// parameter reads one name=value, with or without quotes, and gives what follows.
func parameter(s string) (name, value, rest string, ok bool) {
	i := strings.IndexByte(s, '=')
	if i <= 0 {
		return "", "", "", false
	}
	name = strings.ToLower(strings.TrimRight(s[:i], " \t"))
	s = strings.TrimLeft(s[i+1:], " \t")
	if strings.ContainsAny(name, " \t,\"") {
		return "", "", "", false
	}
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return name, s[:end], s[end:], end > 0 && !strings.ContainsAny(s[:end], `"\`)
	}
	var b strings.Builder
	for j := 1; j < len(s); j++ {
		switch s[j] {
		case '"':
			return name, b.String(), s[j+1:], true
		case '\\':
			if j++; j == len(s) {
				return "", "", "", false
			}
		}
		b.WriteByte(s[j])
	}
	return "", "", "", false
}

package mail

import (
	"errors"
	"strings"
)

// Address is an e-mail address in the one form in which it is stored and compared: lower case throughout.
// Why also before the @: nobody runs mailboxes that differ in case only, and people type both.
type Address string

// maxAddress and maxLocal are the bounds of RFC 5321, 4.5.3.1.
const (
	maxAddress = 254
	maxLocal   = 64
)

// ErrAddress says that a text is no e-mail address that this server takes.
var ErrAddress = errors.New("not an e-mail address")

// ParseAddress reads a whole text as one address: local@domain of plain ASCII, no display name, no comment, no quotes,
// no address literal. What it refuses could mean one thing here and another to a mail server.
func ParseAddress(text string) (Address, error) {
	local, domain, ok := strings.Cut(text, "@")
	if !ok || len(text) > maxAddress || !validLocal(local) || !validDomain(domain) {
		return "", ErrAddress
	}
	return Address(strings.ToLower(text)), nil
}

// Domain is the part behind the @.
func (a Address) Domain() string {
	_, domain, _ := strings.Cut(string(a), "@")
	return domain
}

// validLocal accepts a dot-string of RFC 5321.
func validLocal(s string) bool {
	if s == "" || len(s) > maxLocal {
		return false
	}
	for _, atom := range strings.Split(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !atext(r) }) {
			return false
		}
	}
	return true
}

func atext(r rune) bool {
	return letterOrDigit(r) || r < 0x7f && r > ' ' && strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func letterOrDigit(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// validDomain accepts a name of at least two labels; the last is not a number, so that it is no IPv4 address.
func validDomain(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' ||
			strings.ContainsFunc(l, func(r rune) bool { return !letterOrDigit(r) && r != '-' }) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return strings.ContainsFunc(last, func(r rune) bool { return r < '0' || r > '9' })
}

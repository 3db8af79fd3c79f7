package matrix

import (
	"strings"
	"unicode/utf8"
)

// MaxIDLength is the greatest length in bytes of any identifier, sigil and domain included.
// Spec: appendices/#identifier-grammar
const MaxIDLength = 255

// Identifiers are types, never bare strings. Spec: appendices/#common-identifier-format
type (
	// UserID is a full Matrix user identifier, "@localpart:server".
	UserID string
	// RoomID is "!opaque:server", or "!hash" from room version 12 on.
	RoomID string
	// EventID is "$..." in one of the three forms that room versions define.
	EventID string
	// RoomAlias is "#localpart:server".
	RoomAlias string
	// ServerName is a host name or IP literal with an optional port.
	ServerName string
	// DeviceID names a device of one user; opaque.
	DeviceID string
)

// ParseUserID checks a user id by the tolerant grammar that servers must accept from others (historical ids).
// New local names are checked by ValidLocalpart. Spec: appendices/#user-identifiers
func ParseUserID(s string) (UserID, error) {
	if !validDomainID(s, '@') {
		return "", InvalidParam("Not a user id: it must look like @name:server.")
	}
	return UserID(s), nil
}

// ParseRoomID checks a room id of any room version. Spec: appendices/#room-ids
func ParseRoomID(s string) (RoomID, error) {
	if !validDomainID(s, '!') && !validHashID(s, '!') {
		return "", InvalidParam("Not a room id: it must look like !opaque:server or !hash.")
	}
	return RoomID(s), nil
}

// ParseRoomAlias checks a room alias. Spec: appendices/#room-aliases
func ParseRoomAlias(s string) (RoomAlias, error) {
	if !validDomainID(s, '#') {
		return "", InvalidParam("Not a room alias: it must look like #name:server.")
	}
	return RoomAlias(s), nil
}

// ParseEventID checks an event id of any room version. Spec: appendices/#event-ids
func ParseEventID(s string) (EventID, error) {
	if !validDomainID(s, '$') && !validHashID(s, '$') {
		return "", InvalidParam("Not an event id: it must start with $.")
	}
	return EventID(s), nil
}

// Localpart is the name between the sigil and the first colon; empty when there is none.
func (u UserID) Localpart() string { return localpart(string(u)) }

// Server is everything behind the first colon; empty when there is none.
func (u UserID) Server() ServerName { return domain(string(u)) }

// Server is the domain of a room id of versions 1 to 11; empty for a room id that is a hash.
func (r RoomID) Server() ServerName { return domain(string(r)) }

// CreateEventID is the id of the create event that a version 12 room id names; the caller knows the version.
func (r RoomID) CreateEventID() EventID {
	if r == "" {
		return ""
	}
	return EventID("$" + string(r[1:]))
}

// Server is the domain of an event id of room versions 1 and 2; empty for the others.
func (e EventID) Server() ServerName { return domain(string(e)) }

// Localpart is the name between the sigil and the first colon.
func (a RoomAlias) Localpart() string { return localpart(string(a)) }

// Server is everything behind the first colon.
func (a RoomAlias) Server() ServerName { return domain(string(a)) }

// ValidLocalpart reports whether a new user may bear this name: the strict grammar, in lower case.
// The length of the whole id is for the caller to check, with ParseUserID.
func ValidLocalpart(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("._=-/+", c) >= 0) {
			return false
		}
	}
	return true
}

func localpart(id string) string {
	if i := strings.IndexByte(id, ':'); i > 0 {
		return id[1:i]
	}
	return ""
}

func domain(id string) ServerName {
	if i := strings.IndexByte(id, ':'); i > 0 {
		return ServerName(id[i+1:])
	}
	return ""
}

// validDomainID checks sigil, localpart and server name: any legal code points but ':' and NUL in the middle.
func validDomainID(s string, sigil byte) bool {
	if len(s) > MaxIDLength || len(s) < 3 || s[0] != sigil || !utf8.ValidString(s) {
		return false
	}
	colon := strings.IndexByte(s, ':')
	return colon > 0 && strings.IndexByte(s[:colon], 0) < 0 && validServerName(s[colon+1:])
}

// validHashID checks the forms without a domain: base64 of either alphabet.
// Why: not held to 43 characters, since requests may name ids of any room version that is to come.
func validHashID(s string, sigil byte) bool {
	if len(s) < 2 || len(s) > MaxIDLength || s[0] != sigil {
		return false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if !(isAlnum(c) || c == '-' || c == '_' || c == '+' || c == '/') {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

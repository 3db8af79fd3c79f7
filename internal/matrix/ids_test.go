package matrix

import (
	"strings"
	"testing"
)

// Spec: appendices/#server-name
func TestParseServerName(t *testing.T) {
	for s, want := range map[string]bool{
		"matrix.org": true, "matrix.org:8888": true, "1.2.3.4": true, "1.2.3.4:1234": true,
		"[1234:5678::abcd]": true, "[1234:5678::abcd]:5678": true, "localhost": true, "LOCALHOST": true, "a-b.c:1": true,
		"": false, ":1": false, "a:": false, "a:123456": false, "a:b": false, "a_b": false, "a b": false, "a/b": false,
		"[::1": false, "::1": false, "[::1]x": false, "[1.2.3.4]": false, "[fe80::1%eth0]": false, "[]": false,
		"é.fr": false, "a:1:2": false, strings.Repeat("a", 256): false,
	} {
		if got, err := ParseServerName(s); (err == nil) != want || want && string(got) != s {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

func TestServerNameParts(t *testing.T) {
	for _, c := range [][3]string{{"a.b", "a.b", ""}, {"a.b:1", "a.b", "1"}, {"[::1]", "[::1]", ""}, {"[::1]:80", "[::1]", "80"}} {
		s := ServerName(c[0])
		if s.Host() != c[1] || s.Port() != c[2] {
			t.Errorf("%s: %q %q", s, s.Host(), s.Port())
		}
	}
}

// Spec: appendices/#user-identifiers, #historical-user-ids
func TestParseUserID(t *testing.T) {
	for s, want := range map[string]bool{
		"@a:b": true, "@:b": true, "@A!é:b": true, "@a:b:80": true, "@a:[::1]:80": true, "@a\n:b": true,
		"": false, "@": false, "@a": false, "a:b": false, "@a:": false, "@a\x00:b": false, "@a\xff:b": false, "!a:b": false,
		"@" + strings.Repeat("a", 252) + ":b": true, "@" + strings.Repeat("a", 253) + ":b": false,
	} {
		if _, err := ParseUserID(s); (err == nil) != want || err != nil && !HasCode(err, CodeInvalidParam) {
			t.Errorf("%q: %v", s, err)
		}
	}
	u := UserID("@al:b.c:80")
	if u.Localpart() != "al" || u.Server() != "b.c:80" {
		t.Errorf("%q %q", u.Localpart(), u.Server())
	}
	if none := UserID(""); none.Localpart() != "" || none.Server() != "" {
		t.Error("parts of an empty id")
	}
}

func TestValidLocalpart(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "a.b_c=d-e/f+1": true, "": false, "A": false, "é": false, "a b": false, "a:b": false, "a*": false,
	} {
		if ValidLocalpart(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func TestParseOtherIDs(t *testing.T) {
	hash := "31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"
	for s, want := range map[string]string{
		"!a:b": "r", "!" + hash: "r", "$a:b": "e", "$" + hash: "e", "$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk": "e",
		"#a:b": "a", "#é:b": "a", "#a": "", "!": "", "$": "", "!a b": "", "$é": "", "!" + strings.Repeat("a", 255): "",
	} {
		got := ""
		if _, err := ParseRoomID(s); err == nil {
			got += "r"
		}
		if _, err := ParseEventID(s); err == nil {
			got += "e"
		}
		if _, err := ParseRoomAlias(s); err == nil {
			got += "a"
		}
		if got != want {
			t.Errorf("%q is taken for %q, want %q", s, got, want)
		}
	}
	if a := RoomAlias("#x:y:1"); a.Localpart() != "x" || a.Server() != "y:1" {
		t.Error(a.Localpart(), a.Server())
	}
	if r := RoomID("!" + hash); r.Server() != "" || r.CreateEventID() != EventID("$"+hash) {
		t.Error(r.Server(), r.CreateEventID())
	}
	if RoomID("!a:b").Server() != "b" || EventID("$a:c").Server() != "c" || RoomID("").CreateEventID() != "" {
		t.Error("domains of ids")
	}
}

// The stored hash must never change.
func TestHashIDIsStable(t *testing.T) {
	for id, want := range map[EventID]int64{"$abc": -8543455600537788143, "": -2039914840885289964} {
		if got := HashID(id); got != want {
			t.Errorf("HashID(%q) = %d, want %d", id, got, want)
		}
	}
}

package appservice

import (
	"testing"

	"rempart/internal/matrix"
)

func space(t *testing.T, exclusive bool, text string) []Namespace {
	t.Helper()
	re, err := Pattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return []Namespace{{exclusive, re}}
}

func registry(t *testing.T) *Registry {
	t.Helper()
	r, err := New("hs1", []Registration{
		{ID: "irc", URL: "http://a", ASToken: "irc-token", SenderLocalpart: "irc", Users: space(t, true, "@irc_.*"), Aliases: space(t, true, "#irc_"),
			Rooms: space(t, false, "!watched:")},
		{ID: "log", URL: "http://b", ASToken: "log-token", SenderLocalpart: "log", Users: space(t, false, ".*")},
		{ID: "mute", ASToken: "mute-token", SenderLocalpart: "mute", Users: space(t, true, "@irc_admin:hs1$|@mute_")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNamespaces(t *testing.T) {
	r := registry(t)
	irc, log, mute := r.ByID("irc"), r.ByToken("log-token"), r.ByID("mute")
	for _, c := range []struct {
		user     matrix.UserID
		owns     bool // irc
		reserved bool // for people
		of       int
	}{
		{"@irc:hs1", true, true, 2},
		{"@irc_bob:hs1", true, true, 2},
		{"@irc_bob:elsewhere", false, false, 0},
		{"@x@irc_bob:hs1", false, false, 1},
		{"@alice:hs1", false, false, 1},
		{"@log:hs1", false, true, 1},
		{"@mute_x:hs1", false, true, 1},
	} {
		if irc.Owns(c.user) != c.owns || r.Reserved(c.user, nil) != c.reserved || len(r.OfUser(c.user)) != c.of {
			t.Errorf("%s: owns %v, reserved %v, of %d", c.user, irc.Owns(c.user), r.Reserved(c.user, nil), len(r.OfUser(c.user)))
		}
	}
	if r.Reserved("@irc_bob:hs1", irc) || !r.Reserved("@irc_bob:hs1", log) || !r.Reserved("@irc_admin:hs1", irc) {
		t.Error("what one service has for itself is not its own, or is another's")
	}
	if !r.ReservedAlias("#irc_x:hs1", nil) || r.ReservedAlias("#irc_x:hs1", irc) || r.ReservedAlias("#x:hs1", nil) {
		t.Error("aliases")
	}
	if n := len(r.OfRoom("!watched:hs2", nil)); n != 1 {
		t.Errorf("%d services follow a room by its id", n)
	}
	if n := len(r.OfRoom("!other:hs2", []matrix.RoomAlias{"#irc_x:hs1"})); n != 1 || !r.FollowsAliases() {
		t.Errorf("%d services follow a room by an alias", n)
	}
	if mute.URL != "" || len(r.OfUser("@mute_x:hs1")) != 1 {
		t.Error("a service without an address is told something")
	}
}

// TestNone checks that an installation without services asks a registry for nothing.
func TestNone(t *testing.T) {
	r, err := New("hs1", nil)
	if err != nil || r.Any() || r.ByToken("") != nil || r.ByID("") != nil || r.OfUser("@a:hs1") != nil || r.Reserved("@a:hs1", nil) ||
		r.ReservedAlias("#a:hs1", nil) || r.OfRoom("!a", nil) != nil || r.FollowsAliases() || r.All() != nil {
		t.Error("there is something")
	}
}

func TestDifferent(t *testing.T) {
	for _, two := range [][]Registration{{{ID: "a", ASToken: "x"}, {ID: "a", ASToken: "y"}}, {{ID: "a", ASToken: "x"}, {ID: "b", ASToken: "x"}}} {
		if _, err := New("hs1", two); err == nil {
			t.Errorf("%v were taken", two)
		}
	}
}

package authrules_test

import (
	"fmt"
	"testing"

	"rempart/internal/matrix/authrules"
)

// TestPowerLevelChanges is the long rule about m.room.power_levels. The sender is mod, of level 50.
func TestPowerLevelChanges(t *testing.T) {
	base := `"users":{"` + mod + `":50}`
	for _, c := range []struct {
		name     string
		from, to int
		was, now string
		allowed  bool
	}{
		{"no change", 1, 12, `{"ban":70,` + base + `}`, `{"ban":70,` + base + `}`, true},
		{"a level within reach", 1, 12, `{"ban":40,` + base + `}`, `{"ban":50,` + base + `}`, true},
		{"a level above", 1, 12, `{"ban":40,` + base + `}`, `{"ban":51,` + base + `}`, false},
		{"from above", 1, 12, `{"ban":60,` + base + `}`, `{"ban":50,` + base + `}`, false},
		{"adding within reach", 1, 12, `{` + base + `}`, `{"redact":50,` + base + `}`, true},
		{"adding above", 1, 12, `{` + base + `}`, `{"redact":51,` + base + `}`, false},
		{"removing from above", 1, 12, `{"kick":51,` + base + `}`, `{` + base + `}`, false},
		{"removing within reach", 1, 12, `{"kick":50,` + base + `}`, `{` + base + `}`, true},
		{"each single level: users_default", 1, 12, `{` + base + `}`, `{"users_default":51,` + base + `}`, false},
		{"events_default", 1, 12, `{` + base + `}`, `{"events_default":51,` + base + `}`, false},
		{"state_default", 1, 12, `{` + base + `}`, `{"state_default":51,` + base + `}`, false},
		{"invite", 1, 12, `{` + base + `}`, `{"invite":51,` + base + `}`, false},
		{"kick", 1, 12, `{` + base + `}`, `{"kick":51,` + base + `}`, false},

		{"an event type", 1, 12, `{` + base + `}`, `{"events":{"x":50},` + base + `}`, true},
		{"an event type above", 1, 12, `{` + base + `}`, `{"events":{"x":51},` + base + `}`, false},
		{"an event type from above", 1, 12, `{"events":{"x":51},` + base + `}`, `{"events":{"x":50},` + base + `}`, false},
		{"an event type removed from above", 1, 12, `{"events":{"x":51},` + base + `}`, `{` + base + `}`, false},
		{"an event type kept above", 1, 12, `{"events":{"x":51},` + base + `}`, `{"ban":1,"events":{"x":51},` + base + `}`, true},

		{"notifications above, not looked at", 1, 5, `{` + base + `}`, `{"notifications":{"room":51},` + base + `}`, true},
		{"notifications above", 6, 12, `{` + base + `}`, `{"notifications":{"room":51},` + base + `}`, false},
		{"notifications from above", 6, 12, `{"notifications":{"room":51},` + base + `}`, `{` + base + `}`, false},
		{"notifications at one's level", 6, 12, `{"notifications":{"room":50},` + base + `}`, `{"notifications":{"room":20},` + base + `}`, true},

		{"raise a user", 1, 12, `{` + base + `}`, `{"users":{"` + mod + `":50,"` + user + `":50}}`, true},
		{"raise a user above", 1, 12, `{` + base + `}`, `{"users":{"` + mod + `":50,"` + user + `":51}}`, false},
		{"raise oneself", 1, 12, `{` + base + `}`, `{"users":{"` + mod + `":51}}`, false},
		{"lower oneself", 1, 12, `{` + base + `}`, `{"users":{"` + mod + `":10}}`, true},
		{"remove oneself", 1, 12, `{` + base + `}`, `{"users":{}}`, true},
		{"lower an equal", 1, 12, `{"users":{"` + mod + `":50,"` + user + `":50}}`, `{"users":{"` + mod + `":50,"` + user + `":0}}`, false},
		{"remove an equal", 1, 12, `{"users":{"` + mod + `":50,"` + user + `":50}}`, `{"users":{"` + mod + `":50}}`, false},
		{"lower a lesser", 1, 12, `{"users":{"` + mod + `":50,"` + user + `":49}}`, `{"users":{"` + mod + `":50}}`, true},
		{"keep a greater", 1, 12, `{"users":{"` + mod + `":50,"` + user + `":90}}`, `{"ban":3,"users":{"` + mod + `":50,"` + user + `":90}}`, true},

		{"a string is an integer", 1, 9, `{"ban":" +0060 ",` + base + `}`, `{"ban":60,` + base + `}`, true},
		{"a string is none", 10, 12, `{` + base + `}`, `{"ban":"40",` + base + `}`, false},
		{"a string as a user's level", 10, 12, `{` + base + `}`, `{"users":{"` + mod + `":"50"}}`, false},
		{"a string as an event's level", 10, 12, `{` + base + `}`, `{"events":{"x":"5"},` + base + `}`, false},
		{"a string as a notification level", 10, 12, `{` + base + `}`, `{"notifications":{"x":"5"},` + base + `}`, false},
		{"a float is cut", 1, 5, `{"ban":50.9,` + base + `}`, `{"ban":1.5E1,` + base + `}`, true},
		{"a level is a list", 1, 12, `{` + base + `}`, `{"ban":[],` + base + `}`, false},
		{"users is a list", 1, 12, `{` + base + `}`, `{"users":[]}`, false},
		{"users is null", 1, 12, `{` + base + `}`, `{"users":null}`, false},
		{"events is a string", 10, 12, `{` + base + `}`, `{"events":"x",` + base + `}`, false},
		{"no user id", 1, 12, `{` + base + `}`, `{"users":{"` + mod + `":50,"nobody":1}}`, false},
		{"the creator is named", 12, 12, `{` + base + `}`, `{"users":{"` + mod + `":50,"` + creator + `":1}}`, false},
		{"the creator is named as others are", 1, 11, `{` + base + `}`, `{"users":{"` + mod + `":50,"` + creator + `":1}}`, true},
	} {
		for n := c.from; n <= c.to; n++ {
			v := version(t, fmt.Sprint(n))
			r := newRoom(t, v)
			r.levels(t, v, c.was)
			e := event(t, v, "x", "m.room.power_levels", "", mod, c.now)
			if err := authrules.Check(e, r); (err == nil) != c.allowed {
				t.Errorf("v%d %s: %v", n, c.name, err)
			}
		}
	}
}

// TestCreatorsAreAbove: in version 12 nobody binds the creators. MSC4289
func TestCreatorsAreAbove(t *testing.T) {
	v := version(t, "12")
	r := newRoom(t, v)
	r.set(event(t, v, "create", "m.room.create", "", creator, `{"additional_creators":["`+user+`"]}`))
	r.levels(t, v, `{"ban":9007199254740991,"events":{"x":9007199254740991},"users":{"`+mod+`":9007199254740991}}`)
	for _, who := range []string{creator, user} {
		for _, e := range []struct{ typ, key, content string }{
			{"x", "", `{}`},
			{"m.room.member", mod, `{"membership":"ban"}`},
			{"m.room.power_levels", "", `{}`},
		} {
			if err := authrules.Check(event(t, v, "x", e.typ, e.key, who, e.content), r); err != nil {
				t.Errorf("%s sends %s: %v", who, e.typ, err)
			}
		}
	}
	for _, target := range []string{creator, user} {
		if authrules.Check(event(t, v, "x", "m.room.member", target, mod, `{"membership":"ban"}`), r) == nil {
			t.Errorf("%s was banned", target)
		}
	}
	if authrules.Check(event(t, v, "x", "m.room.member", user, creator, `{"membership":"ban"}`), r) == nil {
		t.Error("a creator banned another")
	}
	if authrules.Check(event(t, v, "x", "m.room.power_levels", "", mod, `{"users":{"`+user+`":0}}`), r) == nil {
		t.Error("an additional creator is named in the levels")
	}
}

package authrules_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// TestCreate is rule 1 of every version.
func TestCreate(t *testing.T) {
	for _, c := range []struct {
		name, content string
		from, to      int
		allowed       bool
	}{
		{"plain", `{"creator":"` + creator + `"}`, 1, 10, true},
		{"without a creator", `{}`, 1, 10, false},
		{"without a creator", `{}`, 11, 12, true},
		{"known version", `{"creator":"x","room_version":"3"}`, 1, 12, true},
		{"unknown version", `{"creator":"x","room_version":"nope"}`, 1, 12, false},
		{"version is a number", `{"creator":"x","room_version":9}`, 1, 12, false},
		{"additional creators", `{"additional_creators":["` + user + `"]}`, 12, 12, true},
		{"additional creators are no users", `{"additional_creators":["user"]}`, 12, 12, false},
		{"additional creators are no list", `{"additional_creators":"` + user + `"}`, 12, 12, false},
		{"additional creators are no strings", `{"additional_creators":[1]}`, 12, 12, false},
		{"additional creators mean nothing yet", `{"additional_creators":[1]}`, 11, 11, true},
	} {
		for n := c.from; n <= c.to; n++ {
			e := event(t, version(t, fmt.Sprint(n)), "create", "m.room.create", "", creator, c.content)
			if err := authrules.Check(e, room{}); (err == nil) != c.allowed {
				t.Errorf("v%d %s: %v", n, c.name, err)
			}
		}
	}
	v := version(t, "11")
	late := event(t, v, "create", "m.room.create", "", creator, `{}`)
	late.PrevEvents = []matrix.EventID{"$x"}
	foreign := event(t, v, "create", "m.room.create", "", user, `{}`)
	keyed := event(t, v, "create", "m.room.create", "key", creator, `{}`)
	for _, e := range []*matrix.Event{late, foreign, keyed} {
		if authrules.Check(e, room{}) == nil {
			t.Errorf("allowed: %s", e.JSON)
		}
	}
}

// TestRoom: rules about the create event in the state.
func TestRoom(t *testing.T) {
	for _, v := range matrix.Versions() {
		message := event(t, v, "x", "m.room.message", "-", user, `{}`)
		r := newRoom(t, v)
		if err := authrules.Check(message, r); err != nil {
			t.Errorf("v%s: %v", v.ID, err)
		}
		create := event(t, v, "create", "m.room.create", "", creator, `{"creator":"`+creator+`","m.federate":false}`)
		r.set(create)
		if authrules.Check(message, r) == nil {
			t.Errorf("v%s: another server writes into a room that does not federate", v.ID)
		}
		if err := authrules.Check(event(t, v, "x", "m.room.message", "-", mod, `{}`), r); err != nil {
			t.Errorf("v%s: %v", v.ID, err)
		}
		r.set(event(t, v, "create2", "m.room.create", "", creator, `{}`))
		message.RoomID = "!elsewhere"
		if authrules.Check(message, r) == nil {
			t.Errorf("v%s: an event of another room is allowed", v.ID)
		}
		if authrules.Check(message, room{}) == nil {
			t.Errorf("v%s: an event is allowed without a create event", v.ID)
		}
	}
}

// TestEvents: rules for events that are neither create nor membership nor power levels.
func TestEvents(t *testing.T) {
	for _, c := range []struct {
		name             string
		from, to         int
		typ, key, sender string
		allowed          bool
	}{
		{"message", 1, 12, "m.room.message", "-", user, true},
		{"message from outside", 1, 12, "m.room.message", "-", other, false},
		{"state with too little power", 1, 12, "m.room.topic", "", user, false},
		{"state", 1, 12, "m.room.topic", "", mod, true},
		{"own level for a type", 1, 12, "m.room.name", "", mod, false},
		{"own key", 1, 12, "org.example.x", user, user, true},
		{"key of another user", 1, 12, "org.example.x", creator, mod, false},
		{"key with something behind", 1, 12, "org.example.x", user + "_x", user, false},
		{"third-party invite", 1, 12, "m.room.third_party_invite", "t", mod, true},
		{"third-party invite below the invite level", 1, 12, "m.room.third_party_invite", "t", user, false},
		{"aliases of one's server", 1, 5, "m.room.aliases", "b.example", other, true},
		{"aliases of another server", 1, 5, "m.room.aliases", "a.example", user, false},
		{"aliases without a key", 1, 5, "m.room.aliases", "-", user, false},
		{"aliases are ordinary", 6, 12, "m.room.aliases", "b.example", other, false},
		{"aliases are ordinary", 6, 12, "m.room.aliases", "anything", mod, true},
	} {
		for n := c.from; n <= c.to; n++ {
			v := version(t, fmt.Sprint(n))
			r := newRoom(t, v)
			users := `"` + mod + `":50`
			if !v.PrivilegedCreators {
				users += `,"` + creator + `":100`
			}
			r.levels(t, v, `{"invite":50,"events":{"m.room.name":75,"org.example.x":0},"users":{`+users+`}}`)
			e := event(t, v, "x", c.typ, c.key, c.sender, `{}`)
			if err := authrules.Check(e, r); (err == nil) != c.allowed {
				t.Errorf("v%d %s: %v", n, c.name, err)
			}
		}
	}
}

// TestRedaction: only versions 1 and 2 judge redactions in the rules.
func TestRedaction(t *testing.T) {
	for _, v := range matrix.Versions() {
		for _, c := range []struct {
			sender, redacts string
			allowed         bool
		}{
			{user, "$e:b.example", true},
			{user, "$e:a.example", !v.RedactionAuth},
			{user, "$e", !v.RedactionAuth},
			{mod, "$e:b.example", true},
		} {
			e := event(t, v, "x:b.example", "m.room.redaction", "-", c.sender, `{}`)
			e.Redacts = matrix.EventID(c.redacts)
			if err := authrules.Check(e, newRoom(t, v)); (err == nil) != c.allowed {
				t.Errorf("v%s %s redacts %s: %v", v.ID, c.sender, c.redacts, err)
			}
		}
	}
}

// TestRefusal: the error is the protocol's own.
func TestRefusal(t *testing.T) {
	v := version(t, "12")
	err := authrules.Check(event(t, v, "x", "m.room.message", "-", other, `{}`), newRoom(t, v))
	var refusal *matrix.Error
	if !errors.As(err, &refusal) || refusal.Code != matrix.CodeForbidden || refusal.Status != 403 {
		t.Fatalf("%#v", err)
	}
}

// TestPowerWithoutLevels: what holds in a room without power levels.
func TestPowerWithoutLevels(t *testing.T) {
	for _, v := range matrix.Versions() {
		r := newRoom(t, v)
		delete(r, matrix.StateTuple{Type: "m.room.power_levels"})
		want := int64(100)
		if v.PrivilegedCreators {
			want = math.MaxInt64
		}
		if got := authrules.PowerLevelOf(r, creator); got != want {
			t.Errorf("v%s: the creator has %d", v.ID, got)
		}
		if got := authrules.PowerLevelOf(r, mod); got != 0 {
			t.Errorf("v%s: a member has %d", v.ID, got)
		}
		got := []int64{
			authrules.RequiredPower(r, "x", true), authrules.RequiredPower(r, "x", false), authrules.InvitePower(r),
			authrules.KickPower(r), authrules.BanPower(r), authrules.RedactPower(r), authrules.NotificationPower(r, "room"),
		}
		if want := "[50 0 0 50 50 50 50]"; fmt.Sprint(got) != want {
			t.Errorf("v%s: %v, want %s", v.ID, got, want)
		}
		if !authrules.MayInvite(r, user) || authrules.MayInvite(r, other) {
			t.Errorf("v%s: MayInvite", v.ID)
		}
	}
}

// TestOwnAuthEvents: rule 2 of versions 1 to 11 and rule 3 of version 12.
func TestOwnAuthEvents(t *testing.T) {
	for _, v := range matrix.Versions() {
		r := newRoom(t, v)
		create, levels := r[matrix.StateTuple{Type: "m.room.create"}], r[matrix.StateTuple{Type: "m.room.power_levels"}]
		me := r[matrix.StateTuple{Type: "m.room.member", Key: user}]
		foreign := event(t, v, "pl", "m.room.power_levels", "", creator, `{}`)
		foreign.RoomID = "!elsewhere:a.example"
		for _, c := range []struct {
			name    string
			auth    []*matrix.Event
			allowed bool
		}{
			{"complete", []*matrix.Event{create, levels, me}, true},
			{"without levels", []*matrix.Event{create, me}, true},
			{"without membership", []*matrix.Event{create, levels}, false},
			{"without create", []*matrix.Event{levels, me}, false},
			{"twice", []*matrix.Event{create, levels, levels, me}, false},
			{"another member", []*matrix.Event{create, levels, me, r[matrix.StateTuple{Type: "m.room.member", Key: mod}]}, false},
			{"join rules", []*matrix.Event{create, levels, me, r[matrix.StateTuple{Type: "m.room.join_rules"}]}, false},
			{"a message", []*matrix.Event{create, levels, me, event(t, v, "y", "m.room.message", "-", user, `{}`)}, false},
			{"of another room", []*matrix.Event{create, foreign, me}, false},
		} {
			e := event(t, v, "x", "m.room.message", "-", user, `{}`)
			for _, a := range c.auth {
				if a != create || !v.RoomIDIsCreateHash {
					e.AuthEvents = append(e.AuthEvents, a.ID)
				}
			}
			if err := authrules.CheckAgainstOwnAuthEvents(e, c.auth); (err == nil) != c.allowed {
				t.Errorf("v%s %s: %v", v.ID, c.name, err)
			}
			if c.name == "complete" && v.RoomIDIsCreateHash {
				e.AuthEvents = append(e.AuthEvents, create.ID)
				if authrules.CheckAgainstOwnAuthEvents(e, c.auth) == nil {
					t.Errorf("v%s: the create event is named as auth event", v.ID)
				}
			}
		}
		if err := authrules.CheckAgainstOwnAuthEvents(create, nil); err != nil {
			t.Errorf("v%s create: %v", v.ID, err)
		}
	}
}

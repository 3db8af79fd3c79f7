package matrix

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
)

// contentEvent is an event as far as content accessors care.
func contentEvent(version, typ, content string) *Event {
	v, _ := Version(version)
	return &Event{Version: v, Type: typ, Sender: "@s:x", Content: json.RawMessage(content)}
}

func TestMemberContent(t *testing.T) {
	e := contentEvent("12", "m.room.member", `{"avatar_url":"mxc://a","displayname":"D\"x","is_direct":true,`+
		`"join_authorised_via_users_server":"@v:w","membership":"invite","reason":"r",`+
		`"third_party_invite":{"display_name":"T","signed":{"mxid":"@m:n","signatures":{},"token":"tok"}}}`)
	c, err := e.MembershipContent()
	if err != nil || e.Membership() != "invite" || c.DisplayName != `D"x` || c.AvatarURL != "mxc://a" || c.Reason != "r" ||
		!c.IsDirect || c.AuthorisedVia != "@v:w" || !c.HasAuthorisedVia {
		t.Errorf("%+v, %v", c, err)
	}
	p := c.ThirdPartyInvite
	if p == nil || p.DisplayName != "T" || p.MXID != "@m:n" || p.Token != "tok" || string(p.Signed) != `{"mxid":"@m:n","signatures":{},"token":"tok"}` {
		t.Errorf("%+v", p)
	}
	for _, bad := range []string{`{}`, `{"membership":1}`, `{"membership":null}`} {
		e := contentEvent("12", "m.room.member", bad)
		if _, err := e.MembershipContent(); err == nil || e.Membership() != "" {
			t.Errorf("%s has membership %q, %v", bad, e.Membership(), err)
		}
	}
	odd := contentEvent("12", "m.room.member", `{"displayname":1,"join_authorised_via_users_server":1,"membership":"join","third_party_invite":1}`)
	if c, err := odd.MembershipContent(); err != nil || !c.HasAuthorisedVia || c.AuthorisedVia != "" || c.ThirdPartyInvite == nil || c.ThirdPartyInvite.Signed != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if contentEvent("12", "m.room.message", `{"membership":"join"}`).Membership() != "" {
		t.Error("a message has a membership")
	}
}

func TestCreateContent(t *testing.T) {
	full := `{"additional_creators":["@a:b","@c:d"],"creator":"@old:x","m.federate":false,` +
		`"predecessor":{"event_id":"$e","room_id":"!r:s"},"room_version":"12","type":"m.space"}`
	for version, want := range map[string]string{"10": "[@old:x]", "11": "[@s:x]", "12": "[@s:x @a:b @c:d]"} {
		e := contentEvent(version, "m.room.create", full)
		if got := fmt.Sprint(e.Creators()); got != want {
			t.Errorf("version %s: creators %s, want %s", version, got, want)
		}
		for _, u := range e.Creators() {
			if !e.IsCreator(u) || e.IsCreator("@no:x") {
				t.Errorf("version %s: IsCreator(%s)", version, u)
			}
		}
	}
	c, err := contentEvent("12", "m.room.create", full).CreateContent()
	if err != nil || c.Federate || c.Type != "m.space" || c.RoomVersion != "12" || *c.Predecessor != (Predecessor{"!r:s", "$e"}) || c.BadCreators {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = contentEvent("12", "m.room.create", `{}`).CreateContent()
	if err != nil || !c.Federate || c.HasCreator || c.HasRoomVersion || c.Predecessor != nil {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{`"@a:b"`, `{}`, `[1]`, `["a"]`, `null`} {
		c, err := contentEvent("12", "m.room.create", `{"additional_creators":`+bad+`}`).CreateContent()
		if err != nil || !c.BadCreators {
			t.Errorf("additional_creators %s: %+v, %v", bad, c, err)
		}
	}
}

func TestJoinRules(t *testing.T) {
	e := contentEvent("12", "m.room.join_rules", `{"allow":[{"room_id":"!a:b","type":"m.room_membership"},{"type":1},7],"join_rule":"restricted"}`)
	j, err := e.JoinRules()
	if err != nil || j.Rule != "restricted" || len(j.Allow) != 1 || j.Allow[0] != (AllowCondition{"m.room_membership", "!a:b"}) {
		t.Errorf("%+v, %v", j, err)
	}
	if j, err := contentEvent("12", "m.room.join_rules", `{"join_rule":1}`).JoinRules(); err == nil || j.Rule != "invite" {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestHistoryVisibility(t *testing.T) {
	for content, want := range map[string]string{
		`"invited"`: "invited", `"joined"`: "joined", `"world_readable"`: "world_readable", `"shared"`: "shared", `"x"`: "shared", `1`: "shared",
	} {
		if got := contentEvent("12", "m.room.history_visibility", `{"history_visibility":`+content+`}`).HistoryVisibility(); got != want {
			t.Errorf("%s: %s", content, got)
		}
	}
}

func TestThirdPartyInviteContent(t *testing.T) {
	c, err := contentEvent("12", "m.room.third_party_invite",
		`{"display_name":"d","key_validity_url":"u","public_key":"k1","public_keys":[{"public_key":"k2"},{"public_key":1},3]}`).ThirdPartyInviteContent()
	if err != nil || fmt.Sprint(c) != "{d u [k1 k2]}" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestPowerLevelDefaults(t *testing.T) {
	p, err := contentEvent("12", "m.room.power_levels", `{"events":{"a":7},"users":{"@u:v":9}}`).PowerLevels()
	if err != nil {
		t.Fatal(err)
	}
	got := []int64{p.Ban, p.Kick, p.Redact, p.Invite, p.UsersDefault, p.EventsDefault, p.StateDefault, p.User("@u:v"), p.User("@x:y"),
		p.Event("a", true), p.Event("b", true), p.Event("b", false), p.Notification("room")}
	if fmt.Sprint(got) != "[50 50 50 0 0 0 50 9 0 7 50 0 50]" || p.Present != PowerEvents|PowerUsers || p.BadUsers {
		t.Errorf("%v, %+v", got, p)
	}
}

func TestPowerLevelsWritten(t *testing.T) {
	p, err := contentEvent("12", "m.room.power_levels", `{"ban":1,"events_default":2,"invite":3,"kick":4,"notifications":{"room":5},`+
		`"redact":6,"state_default":7,"users":{"nobody":1},"users_default":-8,"x":"y"}`).PowerLevels()
	if err != nil {
		t.Fatal(err)
	}
	got := []int64{p.Ban, p.EventsDefault, p.Invite, p.Kick, p.Notification("room"), p.Redact, p.StateDefault, p.UsersDefault}
	all := PowerBan | PowerEventsDefault | PowerInvite | PowerKick | PowerNotifications | PowerRedact | PowerStateDefault | PowerUsers | PowerUsersDefault
	if fmt.Sprint(got) != "[1 2 3 4 5 6 7 -8]" || p.Present != all || !p.BadUsers {
		t.Errorf("%v, %+v", got, p)
	}
}

// What counts as a level in versions 1 to 5, 6 to 9 and from 10 on. Spec: rooms/v1/#event-format, rooms/v10/
func TestPowerLevelForms(t *testing.T) {
	const refused = math.MinInt64 + 1
	for in, want := range map[string][3]int64{
		`5`: {5, 5, 5}, `-5`: {-5, -5, -5}, `0`: {0, 0, 0},
		`"5"`: {5, 5, refused}, `" +0050 "`: {50, 50, refused}, `"-3"`: {-3, -3, refused},
		`""`: {refused, refused, refused}, `"x"`: {refused, refused, refused}, `"1.5"`: {refused, refused, refused},
		`"1e2"`: {refused, refused, refused}, `"1_0"`: {refused, refused, refused}, `"- 1"`: {refused, refused, refused},
		`50.57`: {50, refused, refused}, `-50.57`: {-50, refused, refused}, `5.114698E4`: {51146, refused, refused},
		`1e300`: {math.MaxInt64, refused, refused}, `-1e300`: {math.MinInt64, refused, refused}, `1e999`: {refused, refused, refused},
		`null`: {refused, refused, refused}, `true`: {refused, refused, refused}, `{}`: {refused, refused, refused}, `[]`: {refused, refused, refused},
	} {
		for i, version := range []string{"5", "9", "10"} {
			for _, content := range []string{`{"ban":%s}`, `{"users":{"@a:b":%s}}`, `{"events":{"x":%s}}`, `{"notifications":{"room":%s}}`} {
				e := contentEvent(version, "m.room.power_levels", fmt.Sprintf(content, in))
				p, err := e.PowerLevels()
				if (err == nil) != (want[i] != refused) {
					t.Errorf("version %s, %s: %v", version, e.Content, err)
				} else if err == nil && p.Ban != want[i] && p.User("@a:b") != want[i] && p.Event("x", false) != want[i] && p.Notification("room") != want[i] {
					t.Errorf("version %s, %s: %+v", version, e.Content, p)
				}
			}
		}
	}
}

// The second call finds what the first one parsed.
func TestMemo(t *testing.T) {
	e := contentEvent("12", "m.room.power_levels", `{"ban":1}`)
	a, _ := e.PowerLevels()
	b, _ := e.PowerLevels()
	if a != b {
		t.Error("power levels were parsed twice")
	}
	bad := contentEvent("12", "m.room.power_levels", `{"ban":"x"}`)
	for range 2 {
		if _, err := bad.PowerLevels(); !HasCode(err, CodeBadJSON) {
			t.Errorf("bad power levels: %v", err)
		}
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = e.PowerLevels(); _ = e.Membership() }); n != 0 {
		t.Errorf("%v allocations for what is memoised", n)
	}
}

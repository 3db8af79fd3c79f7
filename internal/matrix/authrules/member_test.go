package authrules_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// membershipCase holds from the version named first up to and including the one named last.
type membershipCase struct {
	name                       string
	from, to                   int
	rule                       string // "": public
	was                        string // membership of the target before; "" for none
	sender, target, membership string
	content                    string // further properties
	allowed                    bool
}

func joinCases() []membershipCase {
	return []membershipCase{
		{"join public", 1, 12, "", "", other, other, "join", "", true},
		{"join for another", 1, 12, "", "", user, other, "join", "", false},
		{"join banned", 1, 12, "", "ban", other, other, "join", "", false},
		{"join after leaving", 1, 12, "", "leave", other, other, "join", "", true},
		{"join invite-only", 1, 12, "invite", "", other, other, "join", "", false},
		{"join invited", 1, 12, "invite", "invite", other, other, "join", "", true},
		{"rejoin invite-only", 1, 12, "invite", "join", other, other, "join", "", true},
		{"join after knocking", 7, 12, "invite", "knock", other, other, "join", "", false},
		{"join private invited", 1, 12, "private", "invite", other, other, "join", "", false},
		{"join knock room invited, before knocks", 1, 6, "knock", "invite", other, other, "join", "", false},
		{"join knock room invited", 7, 12, "knock", "invite", other, other, "join", "", true},
		{"join knock room", 7, 12, "knock", "", other, other, "join", "", false},
		{"join restricted, unknown rule", 1, 7, "restricted", "invite", other, other, "join", "", false},
		{"join restricted invited", 8, 12, "restricted", "invite", other, other, "join", "", true},
		{"join restricted alone", 8, 12, "restricted", "", other, other, "join", "", false},
		{"join restricted by moderator", 8, 12, "restricted", "", other, other, "join", via(mod), true},
		{"join restricted by member who may not invite", 8, 12, "restricted", "", other, other, "join", via(user), false},
		{"join restricted by outsider", 8, 12, "restricted", "", other, other, "join", via("@out:b.example"), false},
		{"join restricted by nonsense", 8, 12, "restricted", "", other, other, "join", `,"join_authorised_via_users_server":7`, false},
		{"nonsense authorises nobody, even in public", 8, 12, "", "", other, other, "join", via("nobody"), false},
		{"before restricted rooms nonsense is ignored", 1, 7, "", "", other, other, "join", via("nobody"), true},
		{"join restricted banned", 8, 12, "restricted", "ban", other, other, "join", via(mod), false},
		{"join knock_restricted, unknown rule", 8, 9, "knock_restricted", "invite", other, other, "join", "", false},
		{"join knock_restricted by moderator", 10, 12, "knock_restricted", "", other, other, "join", via(mod), true},
	}
}

func otherMembershipCases() []membershipCase {
	return []membershipCase{
		{"invite", 1, 12, "", "", mod, other, "invite", "", true},
		{"invite with too little power", 1, 12, "", "", user, other, "invite", "", false},
		{"invite from outside", 1, 12, "", "", "@out:b.example", other, "invite", "", false},
		{"invite the joined", 1, 12, "", "join", mod, other, "invite", "", false},
		{"invite the banned", 1, 12, "", "ban", mod, other, "invite", "", false},
		{"invite the knocking", 7, 12, "", "knock", mod, other, "invite", "", true},

		{"leave", 1, 12, "", "join", other, other, "leave", "", true},
		{"decline", 1, 12, "", "invite", other, other, "leave", "", true},
		{"leave twice", 1, 12, "", "leave", other, other, "leave", "", false},
		{"leave without having been in", 1, 12, "", "", other, other, "leave", "", false},
		{"leave a ban", 1, 12, "", "ban", other, other, "leave", "", false},
		{"take back a knock", 7, 12, "", "knock", other, other, "leave", "", true},
		{"take back a knock before knocks", 1, 6, "", "knock", other, other, "leave", "", false},
		{"kick", 1, 12, "", "join", mod, other, "leave", "", true},
		{"kick with too little power", 1, 12, "", "join", user, other, "leave", "", false},
		{"kick from outside", 1, 12, "", "join", "@out:b.example", other, "leave", "", false},
		{"kick the creator", 1, 12, "", "join", mod, creator, "leave", "", false},
		{"unban", 1, 12, "", "ban", mod, other, "leave", "", true},
		{"unban with too little power", 1, 12, "", "ban", user, other, "leave", "", false},

		{"ban", 1, 12, "", "join", mod, other, "ban", "", true},
		{"ban with too little power", 1, 12, "", "join", user, other, "ban", "", false},
		{"ban the creator", 1, 12, "", "join", mod, creator, "ban", "", false},
		{"ban oneself", 1, 12, "", "join", mod, mod, "ban", "", false},
		{"ban from outside", 1, 12, "", "join", "@out:b.example", other, "ban", "", false},

		{"knock", 7, 12, "knock", "", other, other, "knock", "", true},
		{"knock before knocks", 1, 6, "knock", "", other, other, "knock", "", false},
		{"knock on a public room", 7, 12, "", "", other, other, "knock", "", false},
		{"knock again", 7, 12, "knock", "knock", other, other, "knock", "", true},
		{"knock banned", 7, 12, "knock", "ban", other, other, "knock", "", false},
		{"knock invited", 7, 12, "knock", "invite", other, other, "knock", "", false},
		{"knock joined", 7, 12, "knock", "join", other, other, "knock", "", false},
		{"knock for another", 7, 12, "knock", "", user, other, "knock", "", false},
		{"knock knock_restricted, unknown rule", 7, 9, "knock_restricted", "", other, other, "knock", "", false},
		{"knock knock_restricted", 10, 12, "knock_restricted", "", other, other, "knock", "", true},
		{"unknown membership", 1, 12, "", "", other, other, "dance", "", false},
	}
}

// TestMembership walks through rule 5 of version 1 and rule 4 of the later ones.
func TestMembership(t *testing.T) {
	for _, c := range append(joinCases(), otherMembershipCases()...) {
		for n := c.from; n <= c.to; n++ {
			v := version(t, fmt.Sprint(n))
			r := newRoom(t, v)
			users := `"` + mod + `":50`
			if !v.PrivilegedCreators {
				users += `,"` + creator + `":100`
			}
			r.levels(t, v, `{"invite":50,"users":{`+users+`}}`)
			if c.rule != "" {
				r.rule(t, v, c.rule)
			}
			if c.target == other && c.was != "" {
				r.member(t, v, other, c.was)
			}
			e := event(t, v, "x", "m.room.member", c.target, c.sender, `{"membership":"`+c.membership+`"`+c.content+`}`)
			if err := authrules.Check(e, r); (err == nil) != c.allowed {
				t.Errorf("v%d %s: %v", n, c.name, err)
			}
		}
	}
}

func via(u string) string { return `,"join_authorised_via_users_server":"` + u + `"` }

// TestMembershipForm: what is no membership at all.
func TestMembershipForm(t *testing.T) {
	v := version(t, "11")
	r := newRoom(t, v)
	for _, e := range []*matrix.Event{
		event(t, v, "x", "m.room.member", "-", other, `{"membership":"join"}`),
		event(t, v, "x", "m.room.member", other, other, `{}`),
		event(t, v, "x", "m.room.member", other, other, `{"membership":["join"]}`),
	} {
		if authrules.Check(e, r) == nil {
			t.Errorf("allowed: %s", e.JSON)
		}
	}
}

// TestUnbanNeedsBoth: who unbans needs the levels to kick and to ban and more power than the target.
func TestUnbanNeedsBoth(t *testing.T) {
	v := version(t, "9")
	for _, c := range []struct {
		levels  string
		allowed bool
	}{
		{`{"ban":50,"kick":50,"users":{"` + mod + `":50}}`, true},
		{`{"ban":51,"kick":50,"users":{"` + mod + `":50}}`, false},
		{`{"ban":50,"kick":51,"users":{"` + mod + `":50}}`, false},
		{`{"ban":50,"kick":50,"users":{"` + mod + `":50,"` + other + `":50}}`, false},
		{`{"ban":50,"kick":50,"users":{"` + mod + `":51,"` + other + `":50}}`, true},
	} {
		r := newRoom(t, v)
		r.levels(t, v, c.levels)
		r.member(t, v, other, "ban")
		e := event(t, v, "x", "m.room.member", other, mod, `{"membership":"leave"}`)
		if err := authrules.Check(e, r); (err == nil) != c.allowed {
			t.Errorf("%s: %v", c.levels, err)
		}
	}
}

// TestFounderJoins: the creator may join right after the create event, whatever the room is.
func TestFounderJoins(t *testing.T) {
	for _, v := range matrix.Versions() {
		full := newRoom(t, v)
		r := room{}
		r.set(full[matrix.StateTuple{Type: "m.room.create"}])
		e := event(t, v, "x", "m.room.member", creator, creator, `{"membership":"join"}`)
		if authrules.Check(e, r) == nil {
			t.Errorf("v%s: the creator joins an invite-only room without resting on the create event", v.ID)
		}
		e.PrevEvents = []matrix.EventID{"$create"}
		if err := authrules.Check(e, r); err != nil {
			t.Errorf("v%s: %v", v.ID, err)
		}
		e.PrevEvents = []matrix.EventID{"$create", "$other"}
		if authrules.Check(e, r) == nil {
			t.Errorf("v%s: the creator joins with more parents than the create event", v.ID)
		}
		e = event(t, v, "x", "m.room.member", user, user, `{"membership":"join"}`)
		e.PrevEvents = []matrix.EventID{"$create"}
		if authrules.Check(e, r) == nil {
			t.Errorf("v%s: somebody else joins like the creator", v.ID)
		}
	}
}

// TestThirdPartyInvite: redeeming an invite to an address.
func TestThirdPartyInvite(t *testing.T) {
	v := version(t, "10")
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := base64.RawStdEncoding.EncodeToString(public)
	identity := matrix.SigningKey{ServerName: "id.example", KeyID: "ed25519:0", Private: private}
	sign := func(text string) string {
		signed, err := matrix.SignJSON([]byte(text), identity)
		if err != nil {
			t.Fatal(err)
		}
		return string(signed)
	}
	good := `{"mxid":"` + other + `","token":"tok"}`
	for _, c := range []struct {
		name, signed, invite, sender, was string
		allowed                           bool
	}{
		{"redeemed", sign(good), `{"public_key":"` + key + `"}`, user, "", true},
		{"key in the list", sign(good), `{"public_key":"AAAA","public_keys":[{"public_key":"x"},{"public_key":"` + key + `="}]}`, user, "", true},
		{"sender out of the room is of no account", sign(good), `{"public_key":"` + key + `"}`, user, "leave", true},
		{"banned", sign(good), `{"public_key":"` + key + `"}`, user, "ban", false},
		{"other sender", sign(good), `{"public_key":"` + key + `"}`, mod, "", false},
		{"other user", sign(`{"mxid":"` + user + `","token":"tok"}`), `{"public_key":"` + key + `"}`, user, "", false},
		{"other token", sign(`{"mxid":"` + other + `","token":"tik"}`), `{"public_key":"` + key + `"}`, user, "", false},
		{"no token", sign(`{"mxid":"` + other + `"}`), `{"public_key":"` + key + `"}`, user, "", false},
		{"not signed", good, `{"public_key":"` + key + `"}`, user, "", false},
		{"other key", sign(good), `{"public_key":"` + base64.RawStdEncoding.EncodeToString(make([]byte, 32)) + `"}`, user, "", false},
		{"signed is a list", `[]`, `{"public_key":"` + key + `"}`, user, "", false},
		{"signed is missing", `null`, `{"public_key":"` + key + `"}`, user, "", false},
	} {
		r := newRoom(t, v)
		r.rule(t, v, "invite")
		r.set(event(t, v, "3pid", "m.room.third_party_invite", "tok", user, c.invite))
		if c.was != "" {
			r.member(t, v, other, c.was)
		}
		e := event(t, v, "x", "m.room.member", other, c.sender, `{"membership":"invite","third_party_invite":{"signed":`+c.signed+`}}`)
		if err := authrules.Check(e, r); (err == nil) != c.allowed {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestNeeded: the selection of auth events. Spec: server-server-api/#auth-events-selection
func TestNeeded(t *testing.T) {
	const (
		create = "m.room.create"
		pl     = "m.room.power_levels"
		jr     = "m.room.join_rules"
		member = "m.room.member"
	)
	key := other
	for _, c := range []struct {
		typ, content string
		key          *string
		version      string
		want         []matrix.StateTuple
	}{
		{create, `{}`, new(string), "11", nil},
		{"m.room.message", `{}`, nil, "11", []matrix.StateTuple{{Type: create}, {Type: pl}, {Type: member, Key: user}}},
		{"m.room.message", `{}`, nil, "12", []matrix.StateTuple{{Type: pl}, {Type: member, Key: user}}},
		{member, ` { "membership" : "invite" } `, &key, "12", []matrix.StateTuple{{Type: pl}, {Type: member, Key: user}, {Type: member, Key: other}, {Type: jr}}},
		{member, `{"membership":"leave"}`, &key, "12", []matrix.StateTuple{{Type: pl}, {Type: member, Key: user}, {Type: member, Key: other}}},
		{member, `{"membership":"ban"}`, &key, "12", []matrix.StateTuple{{Type: pl}, {Type: member, Key: user}, {Type: member, Key: other}}},
		{member, `{"membership":"join"` + via(mod) + `}`, &key, "8", []matrix.StateTuple{{Type: create}, {Type: pl}, {Type: member, Key: user}, {Type: member, Key: other}, {Type: jr}, {Type: member, Key: mod}}},
		{member, `{"membership":"join"` + via(mod) + `}`, &key, "7", []matrix.StateTuple{{Type: create}, {Type: pl}, {Type: member, Key: user}, {Type: member, Key: other}, {Type: jr}}},
		{member, `{"membership":"join"` + via(other) + `}`, &key, "12", []matrix.StateTuple{{Type: pl}, {Type: member, Key: user}, {Type: member, Key: other}, {Type: jr}}},
		{member, `{"membership":"invite","third_party_invite":{"signed":{"token":"t"}}}`, &key, "12", []matrix.StateTuple{{Type: pl}, {Type: member, Key: user}, {Type: member, Key: other}, {Type: jr}, {Type: "m.room.third_party_invite", Key: "t"}}},
		{member, `{"membership":"ban","third_party_invite":{"signed":{"token":"t"}}}`, &key, "12", []matrix.StateTuple{{Type: pl}, {Type: member, Key: user}, {Type: member, Key: other}}},
		{member, `{"membership":"knock"}`, &key, "12", []matrix.StateTuple{{Type: pl}, {Type: member, Key: user}, {Type: member, Key: other}, {Type: jr}}},
	} {
		got := authrules.NeededAuthTypes(user, c.typ, c.key, []byte(c.content), version(t, c.version))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %s in v%s: %v, want %v", c.typ, c.content, c.version, got, c.want)
		}
	}
}

package graphgen

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/internal/matrix/stateres/naive"
)

// object is the content of an event in the making.
type object = map[string]any

// draft is what a user wants to send.
type draft struct {
	typ     string
	key     *string
	content object
	redacts matrix.EventID
}

func key(s string) *string { return &s }

func body(text string) object { return object{"msgtype": "m.text", "body": text} }

func membership(target matrix.UserID, m string) draft {
	return draft{typ: "m.room.member", key: key(string(target)), content: object{"membership": m}}
}

// act lets someone do something that is likely, though not certain, to be allowed.
func (g *generator) act(state naive.State) (matrix.UserID, draft) {
	sender := g.anyMember(state)
	if !g.o.Tame && g.chance(8) {
		sender = g.anyUser() // who may well be outside
	}
	switch n := g.r.IntN(100); {
	case n < 34:
		return g.actMember(state, sender)
	case n < 50:
		return g.admin(state, sender), g.powerLevels(state)
	case n < 58:
		return g.admin(state, sender), g.joinRules()
	case n < 78:
		return g.admin(state, sender), g.label()
	case n < 82:
		return sender, draft{typ: "org.example.own", key: key(string(g.pick(sender, 70))), content: object{"n": g.r.IntN(9)}}
	case n < 86:
		return sender, g.thirdPartyInvite()
	case n < 90:
		return g.odd(state, sender)
	}
	return sender, draft{typ: "m.room.message", content: body(fmt.Sprint("hello ", g.r.IntN(1000)))}
}

// admin is mostly the most powerful member, otherwise the given one.
func (g *generator) admin(state naive.State, other matrix.UserID) matrix.UserID {
	if g.chance(25) {
		return other
	}
	return g.strongest(state)
}

// strongest is the most powerful member, the creator where the room is empty.
func (g *generator) strongest(state naive.State) matrix.UserID {
	best, most := g.Users[0], int64(math.MinInt64)
	for _, u := range g.members(state, "join") {
		if power := authrules.PowerLevelOf(g.Room.View(state), u); power > most {
			best, most = u, power
		}
	}
	return best
}

// pick is the given user in so many of a hundred cases, otherwise anyone.
func (g *generator) pick(u matrix.UserID, percent int) matrix.UserID {
	if g.chance(percent) {
		return u
	}
	return g.anyUser()
}

// actMember changes a membership, mostly of someone for whom it makes sense.
func (g *generator) actMember(state naive.State, sender matrix.UserID) (matrix.UserID, draft) {
	outside, inside := g.anyOf(g.outside(state)), g.anyOf(g.members(state, "join"))
	switch g.r.IntN(10) {
	case 0, 1, 2:
		return outside, membership(outside, g.entry(state))
	case 3:
		leaver := g.pick(inside, 90)
		if leaver == g.Users[0] && (g.long() || g.chance(70)) {
			leaver = g.Users[len(g.Users)-1]
		}
		return leaver, membership(leaver, "leave")
	case 4:
		return sender, membership(outside, "invite")
	case 5:
		return g.admin(state, sender), membership(inside, "leave")
	case 6:
		return g.admin(state, sender), membership(g.pick(inside, 70), "ban")
	case 7:
		d := membership(outside, "join")
		d.content["join_authorised_via_users_server"] = string(g.admin(state, sender))
		return outside, d
	case 8:
		return g.admin(state, sender), membership(g.anyOf(g.members(state, "ban")), "leave")
	}
	if state[inviteKey] == "" && g.chance(90) {
		return g.admin(state, sender), membership(outside, "invite")
	}
	return g.redeem(state, outside)
}

// entry is how one would come in by the join rule, mostly.
func (g *generator) entry(state naive.State) string {
	e := g.Room.Events[state[matrix.StateTuple{Type: "m.room.join_rules"}]]
	if e != nil {
		rules, _ := e.JoinRules()
		if (rules.Rule == "knock" || rules.Rule == "knock_restricted") && g.chance(60) {
			return "knock"
		}
	}
	if g.chance(5) {
		return "knock"
	}
	return "join"
}

// outside lists who is not joined.
func (g *generator) outside(state naive.State) []matrix.UserID {
	var users []matrix.UserID
	in := g.members(state, "join")
	for _, u := range g.Users {
		if !slices.Contains(in, u) {
			users = append(users, u)
		}
	}
	return users
}

// anyOf picks one, or anyone when there is none to pick.
func (g *generator) anyOf(users []matrix.UserID) matrix.UserID {
	if len(users) == 0 || g.chance(10) {
		return g.anyUser()
	}
	return users[g.r.IntN(len(users))]
}

func (g *generator) joinRules() draft {
	rules := []string{"public", "public", "invite", "knock", "restricted", "knock_restricted", "private"}
	return draft{typ: "m.room.join_rules", key: key(""), content: object{"join_rule": rules[g.r.IntN(len(rules))]}}
}

// label changes state that authorises nothing.
func (g *generator) label() draft {
	types := []string{"m.room.topic", "m.room.name", "m.room.history_visibility"}
	typ := types[g.r.IntN(len(types))]
	return draft{typ: typ, key: key(""), content: object{"value": g.r.IntN(1000)}}
}

// odd sends what only some room versions have rules about.
func (g *generator) odd(state naive.State, sender matrix.UserID) (matrix.UserID, draft) {
	switch g.r.IntN(3) {
	case 0:
		server := string(g.pick(sender, 70).Server())
		return g.pick(sender, 70), draft{typ: "m.room.aliases", key: &server, content: object{"aliases": []string{}}}
	case 1:
		d := draft{typ: "m.room.redaction", content: object{}, redacts: g.recent().ID}
		if g.Version.RedactsInContent {
			d.content["redacts"] = string(d.redacts)
		}
		return sender, d
	}
	return sender, draft{typ: "m.room.power_levels", key: key("other"), content: object{"users": object{string(sender): 100}}}
}

// inviter is the identity server's key for third-party invites.
func inviter() matrix.SigningKey {
	seed := sha256.Sum256([]byte("identity server"))
	return matrix.SigningKey{ServerName: "id.example", KeyID: "ed25519:0", Private: ed25519.NewKeyFromSeed(seed[:])}
}

const inviteToken = "token"

var inviteKey = matrix.StateTuple{Type: "m.room.third_party_invite", Key: inviteToken}

func (g *generator) thirdPartyInvite() draft {
	public := base64.RawStdEncoding.EncodeToString(inviter().Public())
	return draft{typ: "m.room.third_party_invite", key: key(inviteToken), content: object{
		"display_name": "a...", "key_validity_url": "https://id.example/valid", "public_key": public,
	}}
}

// redeem turns a third-party invite into an invite, mostly as it must be.
func (g *generator) redeem(state naive.State, target matrix.UserID) (matrix.UserID, draft) {
	sender := g.anyUser()
	if e := g.Room.Events[state[inviteKey]]; e != nil {
		sender = g.pick(e.Sender, 90)
	}
	signed, err := json.Marshal(object{"mxid": string(g.pick(target, 90)), "token": inviteToken})
	if err == nil {
		signed, err = matrix.SignJSON(signed, inviter())
	}
	if err != nil {
		panic(err)
	}
	d := membership(target, "invite")
	d.content["third_party_invite"] = object{"display_name": "a...", "signed": json.RawMessage(signed)}
	return sender, d
}

package graphgen

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"rempart/internal/matrix"
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
		return sender, g.label()
	case n < 82:
		return sender, draft{typ: "org.example.own", key: key(string(g.pick(sender, 70))), content: object{"n": g.r.IntN(9)}}
	case n < 86:
		return sender, g.thirdPartyInvite()
	case n < 90:
		return g.odd(state, sender)
	}
	return sender, draft{typ: "m.room.message", content: body(fmt.Sprint("hello ", g.r.IntN(1000)))}
}

// admin is mostly the creator, when he is in the room.
func (g *generator) admin(state naive.State, other matrix.UserID) matrix.UserID {
	for _, u := range g.members(state, "join") {
		if u == g.Users[0] && g.chance(60) {
			return u
		}
	}
	return other
}

// pick is the given user in so many of a hundred cases, otherwise anyone.
func (g *generator) pick(u matrix.UserID, percent int) matrix.UserID {
	if g.chance(percent) {
		return u
	}
	return g.anyUser()
}

// actMember changes a membership.
func (g *generator) actMember(state naive.State, sender matrix.UserID) (matrix.UserID, draft) {
	target := g.anyUser()
	switch g.r.IntN(9) {
	case 0, 1:
		return target, membership(target, "join")
	case 2:
		return sender, membership(sender, "leave")
	case 3:
		return sender, membership(target, "invite")
	case 4:
		return g.admin(state, sender), membership(target, "leave")
	case 5:
		return g.admin(state, sender), membership(target, "ban")
	case 6:
		return target, membership(target, "knock")
	case 7:
		d := membership(target, "join")
		d.content["join_authorised_via_users_server"] = string(sender)
		return target, d
	}
	if banned := g.members(state, "ban"); len(banned) > 0 {
		return g.admin(state, sender), membership(banned[0], "leave")
	}
	return sender, g.redeem(state, sender, target)
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

func (g *generator) thirdPartyInvite() draft {
	public := base64.RawStdEncoding.EncodeToString(inviter().Public())
	return draft{typ: "m.room.third_party_invite", key: key(inviteToken), content: object{
		"display_name": "a...", "key_validity_url": "https://id.example/valid", "public_key": public,
	}}
}

// redeem turns a third-party invite into an invite. Every second one is from the right sender.
func (g *generator) redeem(state naive.State, sender, target matrix.UserID) draft {
	signed, err := json.Marshal(object{"mxid": string(g.pick(target, 90)), "token": inviteToken})
	if err == nil {
		signed, err = matrix.SignJSON(signed, inviter())
	}
	if err != nil {
		panic(err)
	}
	d := membership(target, "invite")
	d.content["third_party_invite"] = object{"display_name": "a...", "signed": json.RawMessage(signed)}
	return d
}

package interop

import (
	"net/url"
	"testing"

	"rempart/internal/testkit/mx"
)

// together makes a room of the host's that a person of each side is in.
func together(t *testing.T, version string, host, guest *side, more map[string]any) (room string, alice, bob *person) {
	t.Helper()
	alice, bob = host.newPerson(t, "alice"), guest.newPerson(t, "bob")
	room = alice.creates(t, version, more)
	bob.joins(t, room, host)
	alice.sees(t, room, bob, "join")
	return room, alice, bob
}

func talkInARoom(t *testing.T, version string, host, guest *side) {
	room, alice, bob := together(t, version, host, guest, nil)
	talk(t, room, alice, bob)
	carol := guest.newPerson(t, "carol") // who joins where her server is already
	carol.joins(t, room, host)
	alice.sees(t, room, carol, "join")
	talk(t, room, alice, carol)
	alice.sets(t, room, "m.room.topic", "", map[string]string{"topic": "what both see"})
	bob.hears(t, room, "what both see")
	agree(t, room, alice, bob)
}

func inviteAcceptLeave(t *testing.T, version string, host, guest *side) {
	alice, bob := host.newPerson(t, "alice"), guest.newPerson(t, "bob")
	room := alice.creates(t, version, map[string]any{"preset": "private_chat", "name": "Quiet", "invite": []string{bob.UserID}})
	bob.sees(t, room, bob, "invite")
	bob.hears(t, room, "Quiet")
	bob.joins(t, room, host)
	alice.sees(t, room, bob, "join")
	talk(t, room, alice, bob)
	agree(t, room, alice, bob)
	carol := host.newPerson(t, "carol") // invited back over the other server
	alice.sets(t, room, "m.room.power_levels", "", powers(t, alice, room, bob, 50))
	bob.hears(t, room, "m.room.power_levels", bob.UserID)
	bob.does(t, "invite", room, carol)
	carol.sees(t, room, carol, "invite")
	alice.finds(t, room, carol, "invite") // Why: Dendrite shows an invitation before its own room knows of it, and refuses who comes too early
	carol.joins(t, room, host)
	bob.sees(t, room, carol, "join")
	agree(t, room, carol, bob)
	bob.leaves(t, room)
	alice.sees(t, room, bob, "leave")
}

// powers are the room's power levels with one more person in them.
func powers(t *testing.T, by *person, room string, who *person, level int) map[string]any {
	t.Helper()
	var content map[string]any
	by.call(t, "GET", "/rooms/"+url.PathEscape(room)+"/state/m.room.power_levels/", nil, &content)
	users, _ := content["users"].(map[string]any)
	if users == nil {
		users = map[string]any{}
	}
	users[who.UserID] = level
	content["users"] = users
	return content
}

func rejectInvite(t *testing.T, version string, host, guest *side) {
	alice, bob := host.newPerson(t, "alice"), guest.newPerson(t, "bob")
	room := alice.creates(t, version, map[string]any{"preset": "private_chat"})
	alice.does(t, "invite", room, bob)
	bob.until(t, "the invitation", func() bool { return bob.of(room).invited })
	bob.leaves(t, room)
	alice.sees(t, room, bob, "leave")
	bob.until(t, "the end of the invitation", func() bool { return !bob.of(room).invited })
}

func withdrawInvite(t *testing.T, version string, host, guest *side) {
	alice, bob := host.newPerson(t, "alice"), guest.newPerson(t, "bob")
	room := alice.creates(t, version, map[string]any{"preset": "private_chat"})
	alice.does(t, "invite", room, bob)
	bob.until(t, "the invitation", func() bool { return bob.of(room).invited })
	alice.does(t, "kick", room, bob)
	bob.until(t, "its withdrawal", func() bool { return !bob.of(room).invited })
	if bob.tryJoin(t.Context(), room, host) == nil {
		t.Error("who is no longer invited may enter")
	}
}

func kickAndReturn(t *testing.T, version string, host, guest *side) {
	room, alice, bob := together(t, version, host, guest, nil)
	alice.does(t, "kick", room, bob)
	bob.sees(t, room, bob, "leave")
	if _, err := bob.Send(t.Context(), room, "kicked", "still here?"); err == nil {
		t.Error("who was kicked still speaks")
	}
	bob.joins(t, room, host)
	talk(t, room, alice, bob)
	agree(t, room, alice, bob)
}

func banAndForgive(t *testing.T, version string, host, guest *side) {
	room, alice, bob := together(t, version, host, guest, nil)
	carol := guest.newPerson(t, "carol")
	carol.joins(t, room, host)
	alice.does(t, "ban", room, bob) // at the same time, perhaps
	alice.sees(t, room, carol, "join")
	carol.sees(t, room, bob, "ban")
	if bob.tryJoin(t.Context(), room, host) == nil {
		t.Error("who is banned enters")
	}
	alice.does(t, "unban", room, bob)
	carol.sees(t, room, bob, "leave")
	bob.joins(t, room, host)
	talk(t, room, alice, bob)
	agree(t, room, alice, bob)
	agree(t, room, carol, bob)
}

func knockAndEnter(t *testing.T, version string, host, guest *side) {
	alice, bob := host.newPerson(t, "alice"), guest.newPerson(t, "bob")
	room := alice.creates(t, version, map[string]any{"initial_state": []any{rule(map[string]any{"join_rule": "knock"})}})
	if bob.tryJoin(t.Context(), room, host) == nil {
		t.Error("who did not knock enters")
	}
	via := url.Values{"server_name": {host.name}, "via": {host.name}}
	bob.call(t, "POST", "/knock/"+url.PathEscape(room)+"?"+via.Encode(), map[string]string{"reason": "let me in"}, nil)
	alice.hears(t, room, bob.UserID, `"knock"`, "let me in")
	bob.hears(t, room, "m.room.join_rules")
	alice.does(t, "invite", room, bob)
	bob.until(t, "the invitation", func() bool { return bob.of(room).invited })
	bob.joins(t, room, host)
	talk(t, room, alice, bob)
	agree(t, room, alice, bob)
}

func rule(content map[string]any) map[string]any {
	return map[string]any{"type": "m.room.join_rules", "state_key": "", "content": content}
}

func restrictedJoin(t *testing.T, version string, host, guest *side) {
	space, alice, bob := together(t, version, host, guest, nil)
	room := alice.creates(t, version, map[string]any{"initial_state": []any{rule(map[string]any{"join_rule": "restricted",
		"allow": []any{map[string]string{"type": "m.room_membership", "room_id": space}}})}})
	carol := guest.newPerson(t, "carol")
	if carol.tryJoin(t.Context(), room, host) == nil {
		t.Error("who is not in the room that counts enters")
	}
	bob.joins(t, room, host)
	alice.hears(t, room, bob.UserID, `"join"`, "join_authorised_via_users_server")
	talk(t, room, alice, bob)
	carol.joins(t, space, host)
	alice.sees(t, space, carol, "join")
	carol.joins(t, room, host)
	talk(t, room, alice, carol)
	agree(t, room, alice, carol)
}

func upgrade(t *testing.T, version string, host, guest *side) {
	room, alice, bob := together(t, version, host, guest, map[string]any{"name": "Old hall"})
	var res struct {
		Room string `json:"replacement_room"`
	}
	alice.call(t, "POST", "/rooms/"+url.PathEscape(room)+"/upgrade", map[string]string{"new_version": version}, &res)
	bob.hears(t, room, "m.room.tombstone", res.Room)
	bob.joins(t, res.Room, host)
	bob.hears(t, res.Room, "m.room.create", room)
	bob.hears(t, res.Room, "Old hall")
	talk(t, res.Room, alice, bob)
	agree(t, res.Room, alice, bob)
	agree(t, room, alice, bob)
}

func redact(t *testing.T, version string, host, guest *side) {
	room, alice, bob := together(t, version, host, guest, nil)
	for i, d := range [][2]*person{{alice, bob}, {bob, alice}} {
		id := d[0].says(t, room, "unsayable")
		d[1].hears(t, room, id)
		path := "/rooms/" + url.PathEscape(room)
		d[0].call(t, "PUT", path+"/redact/"+url.PathEscape(id)+"/r"+string(rune('a'+i)), map[string]string{"reason": "sorry"}, nil)
		d[1].hears(t, room, "m.room.redaction", id)
		var e mx.Event
		d[1].until(t, "the words to go", func() bool {
			d[1].call(t, "GET", path+"/event/"+url.PathEscape(id), nil, &e)
			return e.Body() == ""
		})
	}
	agree(t, room, alice, bob)
}

func historyOfBefore(t *testing.T, version string, host, guest *side) {
	alice, bob := host.newPerson(t, "alice"), guest.newPerson(t, "bob")
	room := alice.creates(t, version, nil)
	var said []string
	for range 30 {
		said = append(said, alice.says(t, room, "long before"))
	}
	bob.joins(t, room, host)
	requireHistory(t, bob, room, said)
}

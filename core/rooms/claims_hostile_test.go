package rooms_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// claiming is a server as threeServers makes it, that has the keys of the refused server no more, with a room of alice's that dora is in.
func claiming(t *testing.T) (p *door, a *rig, room *rooms.Room) {
	t.Helper()
	p, w, _, d, _ := threeServers(t, sqliteURL(t))
	key := w.keys[home]
	a = newRig(t, sqliteURL(t), func(o *rooms.Options) {
		o.Keys, o.Peers, o.Policy, o.Federated, o.Server = own{key}, unknowing{w}, p, true, home
	})
	w.rigs[home] = a
	a.account(t, alice)
	room = a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	return p, a, room
}

// says is a membership of a user of the refused server, signed by nobody.
func says(t *testing.T, room matrix.RoomID, user, membership, more string) json.RawMessage {
	t.Helper()
	return json.RawMessage(fmt.Sprintf(`{"room_id":%q,%s"type":"m.room.member","sender":%q,"state_key":%q,"content":{"membership":%q},"depth":9,`+
		`"origin_server_ts":1,"prev_events":["$a"],"auth_events":["$b"],"hashes":{"sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"signatures":{}}`,
		room, more, user, user, membership))
}

// What a server says of members whom nobody can check counts for rooms that it is in, and for no other, whatever its words.
func TestClaimsAboutOtherRooms(t *testing.T) {
	p, a, room := claiming(t)
	watch, inbox := a.warden(t), a.inboxOf(t)
	private := a.publicRoom(t, "11") // which dora is not in
	odd := fmt.Sprintf(`"Room_id":%q,`, room.ID())
	if _, err := inbox.Take(t.Context(), there, []json.RawMessage{says(t, private.ID(), string(eve), "join", odd), says(t, private.ID(), string(eve), "join", "")}); err != nil {
		t.Fatal(err)
	}
	if rejudge(t, watch) != 0 {
		t.Fatalf("a server outside of a room froze it: %s", p.told())
	}
	a.must(t, private, text(alice, "go on"))
	if _, err := inbox.Take(t.Context(), there, []json.RawMessage{says(t, room.ID(), string(eve), "join", "")}); err != nil {
		t.Fatal(err)
	}
	if rejudge(t, watch) != 1 {
		t.Error("the word of a server in the room does not count")
	}
}

// A server in a room may say of any number of strangers that they are in it: few are kept, and they are enough.
func TestClaimsAreBounded(t *testing.T) {
	_, a, room := claiming(t)
	watch, inbox := a.warden(t), a.inboxOf(t)
	for i := range 6 {
		var pdus []json.RawMessage
		for n := range 50 {
			pdus = append(pdus, says(t, room.ID(), fmt.Sprintf("@eve%d:bad.example", 50*i+n), "join", ""))
		}
		if _, err := inbox.Take(t.Context(), there, pdus); err != nil {
			t.Fatal(err)
		}
	}
	if rejudge(t, watch) != 1 {
		t.Error("the room is open")
	}
	found, err := watch.Found(t.Context(), "")
	if err != nil || len(found) == 0 || len(found) > 100 {
		t.Errorf("%d are kept, %v", len(found), err)
	}
}

// A server is not told of a room once more because it hands in again what let its user in, or had him knock, before he was shown out.
func TestWhatIsOverIsNotAnsweredAgain(t *testing.T) {
	_, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	join := a.member(t, room.ID(), dora)
	if _, err := a.rooms.AcceptMembership(t.Context(), there, "join", room.ID(), join.ID, json.RawMessage(join.JSON)); err != nil {
		t.Fatalf("the same join while it counts: %v", err)
	}
	if err := a.rooms.Kick(t.Context(), rooms.MembershipChange{Room: room, Sender: alice, Target: dora}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.rooms.AcceptMembership(t.Context(), there, "join", room.ID(), join.ID, json.RawMessage(join.JSON)); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("a join of before: %v", err)
	}
	room = a.publicRoom(t, "11")
	a.must(t, room, state(alice, "m.room.join_rules", "", object{"join_rule": "knock"}))
	if err := d.rooms.KnockVia(t.Context(), rooms.Entry{Room: room.ID(), User: erik, Via: []matrix.ServerName{home}}); err != nil {
		t.Fatal(err)
	}
	knock := a.member(t, room.ID(), erik)
	if err := a.rooms.Kick(t.Context(), rooms.MembershipChange{Room: room, Sender: alice, Target: erik}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.rooms.AcceptMembership(t.Context(), there, "knock", room.ID(), knock.ID, json.RawMessage(knock.JSON)); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("a knock of before: %v", err)
	}
}

// What a stranger says of the version of a room that is not known here keeps nobody out of it.
func TestALieAboutARoomsVersion(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		room := d.publicRoomOf(t, dora, "there", "")
		v, _ := matrix.Version("1")
		user := string(alice)
		lie, err := v.Build(matrix.Proto{RoomID: room.ID(), Sender: "@liar:bad.example", Type: "m.room.member", StateKey: &user, Content: []byte(`{"membership":"invite"}`),
			PrevEvents: []matrix.EventID{"$a:bad.example"}, AuthEvents: []matrix.EventID{"$a:bad.example"}, Depth: 5, OriginServerTS: 1,
			RefHash: func(matrix.EventID) []byte { return make([]byte, 32) }}, w.liar(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.rooms.AcceptInvite(t.Context(), bad, "1", room.ID(), lie.ID, json.RawMessage(lie.JSON), nil); err != nil {
			t.Fatal(err)
		}
		if err := a.rooms.JoinVia(t.Context(), rooms.Entry{Room: room.ID(), User: alice, Via: []matrix.ServerName{there}}); err == nil {
			t.Error("an invitation that waits was passed over")
		}
		if err := a.rooms.LeaveVia(t.Context(), rooms.Entry{Room: room.ID(), User: alice}); err != nil {
			t.Fatal(err)
		}
		a.enters(t, rooms.Entry{Room: room.ID(), User: alice, Via: []matrix.ServerName{there}})
		a.must(t, a.known(t, room.ID()), text(alice, "in spite of all"))
	})
}

// liar is the key of a server that is on the wire and answers nothing.
func (w *wire) liar(t *testing.T) matrix.SigningKey {
	t.Helper()
	key, err := matrix.GenerateSigningKey(bad)
	if err != nil {
		t.Fatal(err)
	}
	w.keys[bad] = key
	return key
}

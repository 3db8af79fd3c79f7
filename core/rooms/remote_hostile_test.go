package rooms_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// stranger is a server that is on the wire and in no room.
const stranger = matrix.ServerName("stranger.example")

// Who is not in a room learns nothing of it, and cannot change it.
func TestStrangers(t *testing.T) {
	w, a, _ := twoServers(t, sqliteURL(t))
	w.server(t, stranger, sqliteURL(t))
	room := a.publicRoom(t, "11")
	last := a.messages(t, room, alice, 1)[0]
	ctx, s, id := t.Context(), a.rooms, room.ID()
	tries := map[string]func() error{
		"event":    func() error { _, err := s.ServeEvent(ctx, stranger, last.ID); return err },
		"state":    func() error { _, _, err := s.ServeState(ctx, stranger, id, last.ID); return err },
		"auth":     func() error { _, err := s.ServeEventAuth(ctx, stranger, id, last.ID); return err },
		"backfill": func() error { _, err := s.ServeBackfill(ctx, stranger, id, []matrix.EventID{last.ID}, 10); return err },
		"missing": func() error {
			_, err := s.ServeMissing(ctx, stranger, id, nil, []matrix.EventID{last.ID}, 10, 0)
			return err
		},
		"join of another's user": func() error {
			_, _, err := s.MakeMembership(ctx, stranger, "join", id, dora, []string{"11"})
			return err
		},
	}
	for name, try := range tries {
		if err := try(); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server that the room's access list keeps out cannot join, and events of its users do not enter, whoever brings them.
func TestAccessList(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	w.server(t, stranger, sqliteURL(t))
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	a.must(t, room, state(alice, "m.room.server_acl", "", object{"allow": []string{"*"}, "deny": []string{"THERE.*"}}))
	if err := d.rooms.JoinVia(t.Context(), rooms.Entry{Room: room.ID(), User: erik, Via: []matrix.ServerName{home}}); err != nil {
		t.Fatal(err) // his own server is in the room and has not heard of the list
	}
	said := d.must(t, d.known(t, room.ID()), text(dora, "still here"))[0]
	inbox := a.inboxOf(t)
	for _, origin := range []matrix.ServerName{there, stranger} {
		results, err := inbox.Take(t.Context(), origin, []json.RawMessage{json.RawMessage(said.JSON)})
		if err != nil || results[said.ID] == nil {
			t.Errorf("from %s: %v, %v", origin, results, err)
		}
	}
	inbox.Wait()
	if _, err := a.rooms.EventByID(t.Context(), room, said.ID); !matrix.HasCode(err, matrix.CodeNotFound) {
		t.Errorf("the event entered: %v", err)
	}
	if _, _, err := a.rooms.MakeMembership(t.Context(), there, "join", room.ID(), dora, []string{"11"}); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("make_join: %v", err)
	}
}

// Events that are signed by nobody, by another server, or belong to another room, change nothing.
func TestForgedEvents(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	room, other := a.publicRoom(t, "11"), a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	before := a.stateOf(t, room.ID())
	last := a.messages(t, room, alice, 1)[0]
	as := &remote{t: t, r: a, room: room, key: w.keys[there]} // signs with dora's server's key
	elsewhere := &remote{t: t, r: a, room: other, key: w.keys[there]}
	forged := as.on(last.After(), state(alice, "m.room.name", "", object{"name": "forged"}), last.Event)
	foreign := elsewhere.on(last.After(), text(dora, "not a member"), last.Event)
	bare, err := forged.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	inbox := a.inboxOf(t)
	results, err := inbox.Take(t.Context(), there, []json.RawMessage{json.RawMessage(forged.JSON), json.RawMessage(foreign.JSON),
		json.RawMessage(bare.JSON), json.RawMessage(`{}`), json.RawMessage(`[]`), json.RawMessage(`null`)})
	if err != nil || results[forged.ID] == nil {
		t.Fatalf("%v, %v", results, err)
	}
	inbox.Wait()
	if after := a.stateOf(t, room.ID()); !maps.Equal(before, after) {
		t.Error("the state changed")
	}
	if page := a.page(t, other.ID(), alice, 10); page[len(page)-1] == "not a member" {
		t.Error("an event that rests on another room was shown")
	}
}

// A resident server that tells a wrong state cannot bring its guest into a room that is none.
func TestWrongStateAtJoin(t *testing.T) {
	for name, spoil := range map[string]func(*lying){
		"no create event": func(l *lying) { l.drop = "m.room.create" },
		"no join rules":   func(l *lying) { l.drop = "m.room.join_rules" },
		"nothing at all":  func(l *lying) { l.drop = "*" },
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{}
			l := &lying{wire: w}
			spoil(l)
			a := w.server(t, home, sqliteURL(t))
			a.account(t, alice)
			d := w.serverBehind(t, there, sqliteURL(t), l)
			d.account(t, dora)
			room := a.publicRoom(t, "11")
			err := d.rooms.JoinVia(t.Context(), rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
			if err == nil {
				t.Fatal("joined")
			}
			if list, err := d.rooms.JoinedRooms(t.Context(), d.caller(t, dora).UserNID); err != nil || len(list) != 0 {
				t.Errorf("%v, %v", list, err)
			}
			l.drop = ""
			d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
			if here, far := a.stateOf(t, room.ID()), d.stateOf(t, room.ID()); !maps.Equal(here, far) {
				t.Error("state differs after the second try")
			}
		})
	}
}

// History that claims to lie in a far future is history all the same: what is said now stands behind it.
func TestFakeDepth(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	deep := &deepWire{wire: w}
	far := w.serverBehind(t, "far.example", sqliteURL(t), deep)
	guest := matrix.UserID("@guest:far.example")
	far.account(t, guest)
	far.enters(t, rooms.Entry{Room: room.ID(), User: guest, Via: []matrix.ServerName{home}})
	join := far.stateOf(t, room.ID())[matrix.StateTuple{Type: "m.room.member", Key: string(guest)}]
	m := &remote{t: t, r: a, room: room, key: w.keys[home]}
	last, err := a.rooms.EventByID(t.Context(), room, join)
	if err != nil {
		t.Fatal(err)
	}
	m.depth = 1 << 52
	deep.extra = m.on(last.Before(), text(alice, "from the future"), last.Event)
	far.page(t, room.ID(), guest, 50)
	said := far.must(t, far.known(t, room.ID()), text(guest, "now"))[0]
	if said.Depth > 1000 || said.Row.Depth > 1000 {
		t.Errorf("depth %d", said.Depth)
	}
	if page := far.page(t, room.ID(), guest, 50); page[len(page)-1] != "now" {
		t.Errorf("the timeline ends %q", page[len(page)-1])
	}
}

// A server that asks for it is told a room without most of its members, and what these rest on.
func TestAdmissionWithoutMembers(t *testing.T) {
	_, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	a.join(t, room, 20)
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	id := a.stateOf(t, room.ID())[matrix.StateTuple{Type: "m.room.member", Key: string(dora)}]
	e, err := a.rooms.EventByID(t.Context(), room, id)
	if err != nil {
		t.Fatal(err)
	}
	sent := &rooms.Sent{Room: room, Event: e, Before: e.Before()}
	whole, err := a.rooms.Admission(t.Context(), sent, there, false)
	if err != nil || len(whole.State) != 24 || whole.Omitted {
		t.Fatalf("%d events, %v", len(whole.State), err)
	}
	part, err := a.rooms.Admission(t.Context(), sent, there, true)
	if err != nil || !part.Omitted || len(part.State) != 3+5 || len(part.Servers) != 1 || part.Servers[0] != home {
		t.Errorf("%d events, servers %v, %v", len(part.State), part.Servers, err)
	}
	told := map[int64]bool{}
	for _, e := range append(part.State, part.Auth...) {
		if told[e.Row.NID] {
			t.Errorf("%s is told twice", e.ID)
		}
		told[e.Row.NID] = true
	}
	for _, e := range append(part.State, part.Auth...) {
		for _, nid := range e.Row.Auth {
			if !told[nid] {
				t.Errorf("%s rests on something that is not told", e.ID)
			}
		}
	}
}

// What we show with an invitation to a room whose id is its create event is taken by who looks for its proof.
func TestInviteShowsCreate(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "12")
	m := &remote{t: t, r: a, room: room, key: w.keys[home]}
	last := a.messages(t, room, alice, 1)[0]
	invite := m.on(last.After(), state(alice, "m.room.member", string(dora), object{"membership": "invite"}), last.Event)
	shown, err := a.rooms.Stripped(t.Context(), room, invite)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := d.rooms.AcceptInvite(t.Context(), home, "12", room.ID(), invite.ID, invite.JSON, shown)
	if err != nil || len(signed.SignatureKeys()) != 2 {
		t.Fatal(err)
	}
	if types := d.shownTo(t, room.ID(), dora); !slices.Contains(types, "m.room.create") {
		t.Errorf("shows %v", types)
	}
}

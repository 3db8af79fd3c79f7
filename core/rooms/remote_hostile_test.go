package rooms_test

import (
	"encoding/json"
	"maps"
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
	as := &remote{t, a, room, w.keys[there]} // signs with dora's server's key
	elsewhere := &remote{t, a, other, w.keys[there]}
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

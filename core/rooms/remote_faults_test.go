package rooms_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Faults that other servers are known for.

// State that is known keeps its content when history brings redacted copies of it, before and after a restart.
func TestRedactedCopiesInHistory(t *testing.T) {
	l := &liarWire{wire: &wire{}}
	a := l.wire.server(t, home, sqliteURL(t))
	a.account(t, alice)
	url := sqliteURL(t)
	d := l.serverBehind(t, there, url, l)
	d.account(t, dora)
	room := a.publicRoom(t, "11")
	a.must(t, room, state(alice, "m.room.name", "", object{"name": "precious"}))
	a.must(t, room, state(alice, "m.room.topic", "", object{"topic": "kept"}))
	a.messages(t, room, alice, 3)
	l.backfill = func(at []matrix.EventID) []json.RawMessage {
		events, err := l.wire.Backfill(t.Context(), there, home, room.ID(), at, 100)
		if err != nil {
			return nil
		}
		for i, raw := range events {
			e, err := room.Version().ParseUntrusted(raw)
			if err != nil {
				t.Fatal(err)
			}
			if e.IsState() {
				if e, err = e.Redacted(); err != nil {
					t.Fatal(err)
				}
				events[i] = json.RawMessage(e.JSON)
			}
		}
		return events
	}
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	if page := d.page(t, room.ID(), dora, 100); len(page) < 9 {
		t.Fatalf("history is %v", page)
	}
	check := func(r *rig) {
		t.Helper()
		for key, want := range map[string]string{"m.room.name": "precious", "m.room.topic": "kept"} {
			e, err := r.rooms.EventByID(t.Context(), r.known(t, room.ID()), r.stateOf(t, room.ID())[matrix.StateTuple{Type: key}])
			if err != nil || e.Has(storage.FlagOutlier) {
				t.Fatal(e, err)
			}
			if got, _ := matrix.LookupText(e.Content, key[len("m.room."):]); got != want {
				t.Errorf("%s is %s", key, e.Content)
			}
		}
	}
	check(d)
	d.close(t)
	check(newRig(t, url, nil))
}

// Backfill works in rooms whose id is no name of a server.
func TestBackfillOfHashedRooms(t *testing.T) {
	_, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "12")
	a.messages(t, room, alice, 30)
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	page := d.page(t, room.ID(), dora, 100)
	if n := len(slices.DeleteFunc(slices.Clone(page), func(s string) bool { return s[0] == 'm' && s[1] == '.' })); n != 30 {
		t.Errorf("%d messages in %v", n, page)
	}
}

// After a partition, what a user said and set who was banned meanwhile has no effect on either side.
func TestBannedDuringAPartition(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		_, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		a.must(t, room, state(alice, "m.room.power_levels", "", object{"users": object{string(alice): 100, string(dora): 50}}))
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		d.enters(t, rooms.Entry{Room: room.ID(), User: erik})
		far := d.known(t, room.ID())
		join, err := d.rooms.EventByID(t.Context(), far, d.stateOf(t, room.ID())[matrix.StateTuple{Type: "m.room.member", Key: string(erik)}])
		if err != nil {
			t.Fatal(err)
		}
		must(t)(a.rooms.Receive(t.Context(), room.ID(), []*matrix.Event{join.Event}, rooms.Arrival{From: there}))
		// The two sides do not hear each other.
		ban := a.must(t, room, state(alice, "m.room.member", string(dora), object{"membership": "ban"}))
		named := d.must(t, far, state(dora, "m.room.name", "", object{"name": "hijacked"}), text(dora, "and said"))
		after := d.must(t, far, text(erik, "what did I miss"))
		// They hear each other again.
		give := func(r *rig, events []*rooms.Stored) []rooms.Outcome {
			var bare []*matrix.Event
			for _, e := range events {
				bare = append(bare, e.Event)
			}
			return must(t)(r.rooms.Receive(t.Context(), room.ID(), bare, rooms.Arrival{}))
		}
		for _, o := range give(a, append(named, after...)) {
			if o.Err != nil || (o.Refused == nil) != (o.ID == after[0].ID) {
				t.Errorf("%+v", o)
			}
		}
		give(d, ban)
		here, there := a.stateOf(t, room.ID()), d.stateOf(t, room.ID())
		if !maps.Equal(here, there) {
			t.Errorf("the sides differ: %v and %v", here, there)
		}
		if _, ok := here[matrix.StateTuple{Type: "m.room.name"}]; ok {
			t.Error("the name that a banned user set is kept")
		}
		if here[matrix.StateTuple{Type: "m.room.member", Key: string(dora)}] != ban[0].ID {
			t.Error("the ban is gone")
		}
	})
}

// An invitation that is withdrawn is not shown any more to who was invited on another server.
func TestWithdrawnInvitation(t *testing.T) {
	_, a, d := twoServers(t, sqliteURL(t))
	room := a.create(t, &rooms.CreateRequest{Preset: "private_chat", RoomVersion: "11", Invite: []matrix.UserID{dora}})
	if m, err := d.rooms.Standing(t.Context(), d.known(t, room.ID()), dora); err != nil || m.Membership != storage.MemberInvite {
		t.Fatalf("%+v, %v", m, err)
	}
	kick := a.must(t, room, state(alice, "m.room.member", string(dora), object{"membership": "leave"}))[0]
	inbox := d.inboxOf(t)
	if _, err := inbox.Take(t.Context(), home, []json.RawMessage{json.RawMessage(kick.JSON)}); err != nil {
		t.Fatal(err)
	}
	inbox.Wait()
	if m, err := d.rooms.Standing(t.Context(), d.known(t, room.ID()), dora); err != nil || m.Membership != storage.MemberLeave {
		t.Errorf("%+v, %v", m, err)
	}
}

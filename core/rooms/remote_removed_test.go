package rooms_test

import (
	"encoding/json"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// The last member of a server is removed while nothing reaches that server: the removal refers to what was said meanwhile, and his server is
// given that when it asks, else it could not take the removal in and would go on with a room of its own. Of what came after it is told nothing.
func TestWhoseLastMemberWasRemovedIsToldWhatCameBefore(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		topic := a.must(t, room, state(alice, "m.room.topic", "", object{"topic": "before"}))[0]
		said := a.messages(t, room, alice, 3)
		removal := a.must(t, room, state(alice, "m.room.member", string(dora), object{"membership": "leave"}))[0]
		ban := a.must(t, room, state(alice, "m.room.member", string(dora), object{"membership": "ban"}))[0]
		later := append(a.messages(t, room, alice, 1), a.must(t, room, state(alice, "m.room.topic", "", object{"topic": "after"}))...)

		inbox := d.inboxOf(t)
		if _, err := inbox.Take(ctx, home, []json.RawMessage{json.RawMessage(removal.JSON)}); err != nil {
			t.Fatal(err)
		}
		inbox.Wait()
		got := d.stateOf(t, room.ID())
		if member := (matrix.StateTuple{Type: "m.room.member", Key: string(dora)}); got[member] != removal.ID {
			t.Errorf("she is there by %s, and was removed by %s; asked: %v", got[member], removal.ID, w.calls)
		}
		if got[matrix.StateTuple{Type: "m.room.topic"}] != topic.ID {
			t.Error("the topic of before is not there")
		}
		for _, e := range said {
			d.event(t, d.known(t, room.ID()), e.ID)
		}

		hidden := append(ids(later), ban.ID)
		refused := func(what string, err error) {
			t.Helper()
			if !matrix.HasCode(err, matrix.CodeForbidden) {
				t.Errorf("%s is answered by %v", what, err)
			}
		}
		for _, id := range hidden {
			_, err := a.rooms.ServeEvent(ctx, there, id)
			refused("an event", err)
			_, _, err = a.rooms.ServeState(ctx, there, room.ID(), id)
			refused("state", err)
			_, _, err = a.rooms.ServeStateIDs(ctx, there, room.ID(), id)
			refused("names of state", err)
			_, err = a.rooms.ServeEventAuth(ctx, there, room.ID(), id)
			refused("an auth chain", err)
		}
		newest := []matrix.EventID{later[1].ID}
		before, err := a.rooms.ServeBackfill(ctx, there, room.ID(), newest, 100)
		if err != nil {
			t.Fatal(err)
		}
		between, err := a.rooms.ServeMissing(ctx, there, room.ID(), nil, newest, 20, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range [][]*matrix.Event{before, between} {
			if !slices.ContainsFunc(list, func(e *matrix.Event) bool { return e.ID == said[2].ID }) {
				t.Error("what was said before is left out")
			}
			for _, e := range list {
				if slices.Contains(hidden, e.ID) {
					t.Errorf("%s of after is given: %s", e.Type, e.ID)
				}
			}
		}
		if e, err := a.rooms.ServeNear(ctx, there, room.ID(), later[0].OriginServerTS+1_000_000, true); err != nil || slices.Contains(hidden, e.ID) {
			t.Errorf("the last event is %v, %v", e, err)
		}
	})
}

// Who was invited and refused was never there.
func TestWhoRefusedAnInvitationIsToldNothing(t *testing.T) {
	_, a, _ := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	said := a.messages(t, room, alice, 1)[0]
	for _, membership := range []string{"invite", "leave", "ban"} {
		a.must(t, room, state(alice, "m.room.member", string(dora), object{"membership": membership}))
		if _, err := a.rooms.ServeEvent(t.Context(), there, said.ID); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("%s: %v", membership, err)
		}
	}
}

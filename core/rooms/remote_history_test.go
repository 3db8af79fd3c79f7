package rooms_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// Who joins a room reads on into what was said before, page by page, down to its creation; each event once.
func TestBackfill(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		for i := range 130 {
			a.must(t, room, text(alice, fmt.Sprint("old ", i)))
			if i%40 == 0 {
				a.must(t, room, state(alice, "m.room.name", "", object{"name": fmt.Sprint("name ", i)}))
			}
		}
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		far := d.known(t, room.ID())
		seen := map[matrix.EventID]bool{}
		var bodies []string
		for q := (rooms.MessagesRequest{Backward: true, Limit: 30}); ; {
			page, err := d.rooms.Messages(t.Context(), far, dora, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				if seen[e.ID] {
					t.Fatalf("%s came twice", e.ID)
				}
				seen[e.ID] = true
				if body, ok := matrix.LookupText(e.Content, "body"); ok {
					bodies = append(bodies, body)
				}
			}
			if page.End == nil {
				break
			}
			q.From = page.End
		}
		slices.Reverse(bodies)
		if len(bodies) != 130 || bodies[0] != "old 0" || bodies[129] != "old 129" || !slices.IsSortedFunc(bodies, func(x, y string) int {
			var m, n int
			_, _ = fmt.Sscanf(x, "old %d", &m)
			_, _ = fmt.Sscanf(y, "old %d", &n)
			return m - n
		}) {
			t.Errorf("%d messages: %q", len(bodies), bodies)
		}
		if len(seen) != 130+4+4+1 {
			t.Errorf("%d events", len(seen))
		}
		if n := w.called("state_ids"); n > 4 {
			t.Errorf("%d states were asked for", n)
		}
		if here, far := a.stateOf(t, room.ID()), d.stateOf(t, room.ID()); !maps.Equal(here, far) {
			t.Error("history moved the present")
		}
	})
}

// Events enter by the inbox; what was missed in between is fetched, and a forged or repeated one does no harm.
func TestInbox(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		inbox := d.inboxOf(t)
		sent := a.messages(t, room, alice, 12)
		last := sent[len(sent)-1]
		forged := json.RawMessage(`{` + string(sent[0].JSON[1:len(sent[0].JSON)-1]) + `,"extra":1}`)
		for range 3 {
			results, err := inbox.Take(t.Context(), home, []json.RawMessage{json.RawMessage(last.JSON), json.RawMessage(`{"room_id":5}`), forged})
			if err != nil || results[last.ID] != nil {
				t.Fatalf("%v, %v", results, err)
			}
		}
		d.waitFor(t, inbox, room.ID(), last.ID)
		if here, far := a.heads(t, room.ID()), d.heads(t, room.ID()); !slices.Equal(here, far) {
			t.Errorf("heads %v and %v", here, far)
		}
		if w.called("get_missing_events") == 0 || w.called("state_ids") != 0 {
			t.Errorf("asked: %v", w.calls)
		}
	})
}

// What waits in the inbox survives a stop.
func TestInboxRestart(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		_, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		first := d.inboxOf(t)
		first.Close() // takes over, works no more
		sent := a.messages(t, room, alice, 3)
		var pdus []json.RawMessage
		for _, e := range sent {
			pdus = append(pdus, json.RawMessage(e.JSON))
		}
		if _, err := first.Take(t.Context(), home, pdus); err != nil {
			t.Fatal(err)
		}
		if _, err := d.rooms.EventByID(t.Context(), d.known(t, room.ID()), sent[0].ID); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Fatal("a closed inbox went on working", err)
		}
		second := d.inboxOf(t)
		d.waitFor(t, second, room.ID(), sent[2].ID)
	})
}

// A peer that sends more than its share is told to wait.
func TestInboxFull(t *testing.T) {
	_, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	inbox := d.inboxOf(t)
	inbox.Close()
	var err error
	for i := 0; i < 200 && err == nil; i++ {
		var pdus []json.RawMessage
		for _, e := range a.messages(t, room, alice, 50) {
			pdus = append(pdus, json.RawMessage(e.JSON))
		}
		_, err = inbox.Take(t.Context(), home, pdus)
	}
	if !matrix.HasCode(err, matrix.CodeLimitExceeded) {
		t.Errorf("got %v", err)
	}
}

// A peer that names parents which it never shows gets its events dropped, and the room goes on.
func TestParentsThatNeverCome(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	room := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	inbox := d.inboxOf(t)
	m := &remote{t: t, r: a, room: room, key: w.keys[home]}
	at := a.messages(t, room, alice, 1)[0]
	ghost := m.on(at.After(), text(alice, "ghost"), at.Event)
	child := m.on(at.After(), text(alice, "child"), ghost)
	next := a.messages(t, room, alice, 1)[0]
	if _, err := inbox.Take(t.Context(), home, []json.RawMessage{json.RawMessage(child.JSON), json.RawMessage(next.JSON)}); err != nil {
		t.Fatal(err)
	}
	d.waitFor(t, inbox, room.ID(), next.ID)
	if _, err := d.rooms.EventByID(t.Context(), d.known(t, room.ID()), child.ID); !matrix.HasCode(err, matrix.CodeNotFound) {
		t.Errorf("an event without parents was kept: %v", err)
	}
}

// waitFor empties the inbox and finds an event that must have come by then.
func (r *rig) waitFor(t testing.TB, inbox *rooms.Inbox, room matrix.RoomID, id matrix.EventID) {
	t.Helper()
	inbox.Wait()
	e, err := r.rooms.EventByID(t.Context(), r.known(t, room), id)
	if err != nil || !e.Before().Known() {
		t.Fatal(errors.Join(err, errors.New("the event did not arrive")))
	}
}

func (r *rig) heads(t testing.TB, room matrix.RoomID) []matrix.EventID {
	t.Helper()
	v, err := r.rooms.Current(t.Context(), r.known(t, room))
	if err != nil {
		t.Fatal(err)
	}
	return v.Heads()
}

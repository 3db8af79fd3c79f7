package sync_test

import (
	"encoding/json"
	"testing"

	"rempart/core/threads"
	"rempart/internal/matrix"
)

// What a user says of threads comes by an extension, each word once, the newest first when there are many. MSC4308
func TestSlidingThreads(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const name = "io.element.msc4308.thread_subscriptions"
		alice := r.user("alice")
		room := alice.public()
		said := threads.New(r.db, r.rooms)
		roots := []matrix.EventID{alice.say(room, "a"), alice.say(room, "b"), alice.say(room, "c")}
		for _, root := range roots {
			if err := said.Subscribe(ctx, alice.caller, room, root, ""); err != nil {
				t.Fatal(err)
			}
		}
		type part struct {
			Subscribed, Unsubscribed map[matrix.RoomID]map[matrix.EventID]struct {
				Stamp int64 `json:"bump_stamp"`
			}
			Prev string `json:"prev_batch"`
		}
		s := alice.slider(object{"extensions": object{name: object{"enabled": true, "limit": 2}}})
		next := func() part {
			t.Helper()
			a := s.next()
			var out struct {
				Extensions map[string]part `json:"extensions"`
			}
			if err := json.Unmarshal([]byte(a.raw), &out); err != nil {
				t.Fatal(err)
			}
			return out.Extensions[name]
		}
		first := next()
		if got := first.Subscribed[room.ID()]; len(got) != 2 || got[roots[1]].Stamp == 0 || got[roots[2]].Stamp <= got[roots[1]].Stamp || first.Prev == "" {
			t.Errorf("the newest: %+v", first)
		}
		if got := next(); got.Subscribed != nil || got.Prev != "" {
			t.Errorf("again: %+v", got)
		}
		if err := said.Unsubscribe(ctx, alice.caller, room, roots[0]); err != nil {
			t.Fatal(err)
		}
		if got := next(); got.Unsubscribed[room.ID()][roots[0]].Stamp == 0 || got.Subscribed != nil || got.Prev != "" {
			t.Errorf("no more: %+v", got)
		}
	})
}

// A stored connection that is damaged ends the connection, and nothing else.
func FuzzStoredConnection(f *testing.F) {
	r := newRig(f, sqliteURL(f))
	alice := r.user("alice")
	alice.public()
	s := alice.slider(window(9, 1, []string{"m.room.create", ""}))
	s.next()
	s.next()
	for _, body := range r.sync.StoredConnections(alice.caller.UserNID) {
		f.Add(body)
	}
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, body []byte) { r.sync.ReadConnection(body) })
}

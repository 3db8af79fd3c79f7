package rooms_test

import (
	"sync"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// A room of every version can be made, joined and written to; the state at each event is the one it was built on.
func TestLinearRoom(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		eachVersion(t, func(t *testing.T, version string) { testLinearRoom(t, r, version) })
	})
}

func testLinearRoom(t *testing.T, r *rig, version string) {
	room := r.publicRoom(t, version)
	bob := r.join(t, room, 1)[0]
	first := r.must(t, room, state(alice, "m.room.topic", "", object{"topic": "one"}))[0]
	message := r.must(t, room, text(bob, "hello"))[0]
	second := r.must(t, room, state(alice, "m.room.topic", "", object{"topic": "two"}))[0]
	if message.Depth != first.Depth+1 || len(message.PrevEvents) != 1 || message.PrevEvents[0] != first.ID {
		t.Errorf("the message does not follow the topic: %v after %v", message.PrevEvents, first.ID)
	}
	topic := matrix.StateTuple{Type: "m.room.topic"}
	for _, c := range []struct {
		at   rooms.Version
		want *rooms.Stored
	}{{first.Before(), nil}, {first.After(), first}, {message.Before(), first}, {second.Before(), first}, {second.After(), second}} {
		got, err := r.rooms.KeyAt(t.Context(), room, c.at, topic)
		if err != nil || (got == nil) != (c.want == nil) || got != nil && got.ID != c.want.ID {
			t.Errorf("topic at %v: %v, %v; want %v", c.at, got, err, c.want)
		}
		whole, err := r.rooms.StateAt(t.Context(), room, c.at)
		if err != nil || c.want != nil && whole[c.want.Row.StateKey] != c.want.Row.NID {
			t.Errorf("state at %v: %v, %v", c.at, whole, err)
		}
	}
	v, err := r.rooms.Current(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	if v.Joined() != 2 || v.Len() != 6 {
		t.Errorf("%d joined, %d keys; want 2 and 6", v.Joined(), v.Len())
	}
	if _, err := r.send(t.Context(), room, text("@stranger:home.example", "hi")); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("a stranger may write: %v", err)
	}
	if _, err := r.send(t.Context(), room, text("@bob:remote.example", "hi")); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("we sign for others: %v", err)
	}
}

// What one service wrote another reads: nothing lives in memory only.
func TestReopen(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.publicRoom(t, "12")
		users := r.join(t, room, 40)
		last := r.must(t, room, text(users[3], "last"))[0]

		other := newRig(t, url, nil)
		again, err := other.rooms.Room(t.Context(), room.ID())
		if err != nil {
			t.Fatal(err)
		}
		next := other.must(t, again, text(users[4], "next"))[0]
		if len(next.PrevEvents) != 1 || next.PrevEvents[0] != last.ID {
			t.Errorf("the next event follows %v, not %v", next.PrevEvents, last.ID)
		}
		found, err := other.rooms.EventByID(t.Context(), again, last.ID)
		if err != nil || string(found.JSON) != string(last.JSON) {
			t.Errorf("the event reads as %v, %v", found, err)
		}
	})
}

// Many senders at once: every event is there once, in one line, and positions follow it.
func TestPipelining(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.publicRoom(t, "11")
		users := r.join(t, room, 8)
		var wg sync.WaitGroup
		for _, u := range users {
			wg.Go(func() {
				for i := range 20 {
					d := text(u, "hello")
					if i%5 == 0 {
						d = state(alice, "org.example.state", string(rune('a'+i)), object{"by": u})
					}
					if _, err := r.send(t.Context(), room, d); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		checkLine(t, r, room, 4+8+8*20)
	})
}

// checkLine follows the room from its head back: each event has one parent, of a smaller depth and position.
func checkLine(t *testing.T, r *rig, room *rooms.Room, want int) {
	t.Helper()
	v, err := r.rooms.Current(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	heads := v.Heads()
	if len(heads) != 1 {
		t.Fatalf("%d heads", len(heads))
	}
	n := 0
	pos := int64(1 << 62)
	for id := heads[0]; ; n++ {
		e, err := r.rooms.EventByID(t.Context(), room, id)
		if err != nil {
			t.Fatal(err)
		}
		if e.Row.Pos >= pos || e.Row.Pos == 0 {
			t.Errorf("position %d before %d", e.Row.Pos, pos)
		}
		pos = e.Row.Pos
		if len(e.PrevEvents) == 0 {
			break
		}
		id = e.PrevEvents[0]
	}
	if n+1 != want {
		t.Errorf("%d events in line, want %d", n+1, want)
	}
}

// A transaction id makes one event, however often and from however many sides it comes.
func TestTransactionOnce(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.publicRoom(t, "12")
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[matrix.EventID]int{}
		for range 20 {
			wg.Go(func() {
				d := text(alice, "once")
				d.Txn = &storage.TransactionRow{Device: 7, Endpoint: 8, TxnID: "x"}
				out, err := r.send(t.Context(), room, d)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				seen[out[0].ID]++
			})
		}
		wg.Wait()
		other := newRig(t, url, nil)
		for _, service := range []*rig{r, other, other} {
			again, err := service.rooms.Room(t.Context(), room.ID())
			if err != nil {
				t.Fatal(err)
			}
			d := text(alice, "once")
			d.Txn = &storage.TransactionRow{Device: 7, Endpoint: 8, TxnID: "x"}
			seen[service.must(t, again, d)[0].ID]++
		}
		if len(seen) != 1 {
			t.Errorf("one transaction made %d events", len(seen))
		}
		checkLine(t, r, room, 5)
	})
}

// A redaction hides what the target said, in every version, for those who may redact only.
func TestRedaction(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		eachVersion(t, func(t *testing.T, version string) {
			room := r.publicRoom(t, version)
			bob := r.join(t, room, 1)[0]
			target := r.must(t, room, text(bob, "secret"))[0]
			content := object{}
			if room.Version().RedactsInContent {
				content["redacts"] = target.ID
			}
			d := text(alice, "")
			d.Type, d.Redacts, d.Content = "m.room.redaction", target.ID, state("", "", "", content).Content
			by := r.must(t, room, d)[0]
			for _, service := range []*rig{r, newRig(t, url, nil)} {
				again, err := service.rooms.Room(t.Context(), room.ID())
				if err != nil {
					t.Fatal(err)
				}
				got, err := service.rooms.EventByID(t.Context(), again, target.ID)
				if err != nil {
					t.Fatal(err)
				}
				if string(got.Content) != "{}" || got.RedactedBy == nil || got.RedactedBy.ID != by.ID {
					t.Errorf("the target reads %s, redacted by %v", got.Content, got.RedactedBy)
				}
			}
		})
	})
}

package sender_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Who has written down that he has a wave is not sent it again after a crash, though others who are on it still wait.
func TestAWaveIsNotRepeatedToWhoHasIt(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t)
		a, b, c := w.peer(1), w.peer(2), w.peer(3)
		n := w.node(t, url, 0)
		room := n.room()
		hang := make(chan struct{})
		release := sync.OnceFunc(func() { close(hang) })
		t.Cleanup(release)
		b.answers(func(transaction) int { <-hang; return http.StatusBadGateway })
		n.say(room, set(a, b), "for two")
		first := b.next(t)
		a.next(t)
		a.until(t, func() bool { return len(a.bodies()) == 1 })
		for tries := 0; !n.has(t, a); tries++ { // its place is written with what others are sent, now and then
			if tries == 200 {
				t.Fatal("that it has the wave is never written down")
			}
			w.pass(time.Minute)
			n.say(room, set(c), "for the third")
			c.until(t, func() bool { return len(c.bodies()) == tries+1 })
		}
		n.crash()
		b.answers(nil)
		n = w.node(t, url, time.Hour)
		if again := b.next(t); again.id != first.id {
			t.Errorf("who does not have it is sent %s, want %s", again.id, first.id)
		}
		room, err := n.rooms.Room(t.Context(), room.ID())
		if err != nil {
			t.Fatal(err)
		}
		n.say(room, set(a), "for the first")
		if next := a.next(t); next.id == first.id || !strings.Contains(next.body, "for the first") {
			t.Errorf("who has it is sent it again: %s", next.body)
		}
	})
}

// has reports whether it is written down that a server has everything.
func (n *node) has(t *testing.T, p *peer) bool {
	t.Helper()
	list, err := n.db.ListDestinations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		if d.Server == p.name && d.Txn == "" && d.Pos > 0 {
			return true
		}
	}
	return false
}

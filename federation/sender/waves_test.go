package sender_test

import (
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"rempart/internal/testkit/mx"
)

// What is said to several servers goes out under one id. After a crash each of them is sent again just what it may not have, as it was.
func TestWavesAfterACrash(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t)
		a, b := w.peer(1), w.peer(2)
		n := w.node(t, url, 0)
		room, to := n.room(), set(a, b)
		for i, body := range numbered(3) {
			n.say(room, to, body)
			if first, second := a.next(t), b.next(t); first.id != second.id || first.body != second.body {
				t.Fatalf("%s and %s", first.id, second.id)
			}
			a.until(t, func() bool { return len(a.bodies()) == i+1 })
			b.until(t, func() bool { return len(b.bodies()) == i+1 })
			// Why: whose answer has not been taken in goes by itself next time. The test's own deadline ends a wait in vain.
			for n.sender.Stats().Transactions < uint64(2*(i+1)) {
				runtime.Gosched()
			}
		}
		hang := make(chan struct{})
		release := sync.OnceFunc(func() { close(hang) })
		t.Cleanup(release)
		b.answers(func(transaction) int { <-hang; return http.StatusBadGateway })
		n.say(room, to, "3")
		last := b.next(t)
		a.next(t)
		a.until(t, func() bool { return len(a.bodies()) == 4 })
		n.crash()
		b.answers(nil)
		n = w.node(t, url, time.Hour)
		if again := b.next(t); again.id != last.id || again.body != last.body {
			t.Fatalf("sent again %s, want %s", again.id, last.id)
		}
		if again := a.next(t); again.id != last.id || again.body != last.body {
			t.Fatalf("sent again %s, want %s", again.id, last.id)
		}
		room, err := n.rooms.Room(t.Context(), room.ID())
		if err != nil {
			t.Fatal(err)
		}
		n.say(room, to, "4")
		for _, p := range []*peer{a, b} {
			p.until(t, func() bool { return slices.Equal(p.bodies(), numbered(5)) })
		}
		end := time.Now().Add(mx.Patience)
		for tries := 0; n.waves(t) > 2; tries++ { // the newest may stay; they are put away at a tick, so that no number of tries is enough
			if time.Now().After(end) {
				t.Fatal("waves are kept that nobody needs")
			}
			w.pass(time.Minute)
			n.say(room, to, "more")
			for _, p := range []*peer{a, b} { // a wave is kept while somebody on it has not answered
				p.until(t, func() bool { return len(p.bodies()) == 6+tries })
			}
		}
	})
}

func (n *node) waves(t *testing.T) int {
	t.Helper()
	list, err := n.db.ListWaves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

package sender_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/testkit/mx"
)

// A server that was gone for hours and returns without a word is told within seconds, and looking for it costs no request.
func TestWhoReturnsWithoutAWord(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t)
		p := w.absent(1)
		n := w.node(t, url, 0)
		n.say(n.room(), set(p), "kept")
		for n.sender.Stats().Failures == 0 {
			runtime.Gosched()
		}
		w.pass(3 * time.Hour)
		w.dials(t, 2) // it was looked for; by the time of its outage alone the next attempt would come six minutes later
		w.arrive(p)
		// Why not once: the look before may end only after the time has passed. Far less passes than the six minutes.
		for tries := 0; tries < 20 && len(p.bodies()) == 0; tries++ {
			w.pass(9 * time.Second)
			select {
			case <-p.done:
			case <-time.After(3 * time.Second):
			}
		}
		n.close()
		if got := p.bodies(); !slices.Equal(got, []string{"kept"}) || p.asked() != 1 {
			t.Errorf("told %v, asked %d times", got, p.asked())
		}
	})
}

// Of all who took an event one is asked what else was said in the room, and again only after a while.
func TestOneOfManyIsAskedWhatIsNew(t *testing.T) {
	w := newWorld(t)
	w.reached = make(chan matrix.ServerName, 100)
	a, b, c := w.peer(1), w.peer(2), w.peer(3)
	n := w.node(t, sqliteURL(t), 0)
	room, to := n.room(), set(a, b, c)
	for i, body := range []string{"0", "1", "2"} {
		n.say(room, to, body)
		for _, p := range []*peer{a, b, c} {
			p.until(t, func() bool { return len(p.bodies()) > i })
		}
		if i == 1 {
			w.pass(11 * time.Second)
		}
	}
	for i := range 2 { // one for the first two messages and one for the third
		select {
		case <-w.reached:
		case <-time.After(mx.Patience):
			t.Fatalf("%d servers were asked", i)
		}
	}
	n.close()
	if more := len(w.reached); more != 0 {
		t.Errorf("%d servers more were asked", more)
	}
}

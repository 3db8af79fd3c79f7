package sender_test

import (
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// many are so many servers that answers are read in tides, in a room to which a first message has gone: connections to all are kept.
func (w *world) many(t *testing.T, url string, n int) (*node, []*peer, func(body string)) {
	t.Helper()
	var peers []*peer
	for i := range n {
		peers = append(peers, w.peer(i+1))
	}
	home := w.node(t, url, 0)
	room, to := home.room(), set(peers...)
	say := func(body string) { home.say(room, to, body) }
	say("first")
	home.arrived(uint64(n))
	return home, peers, say
}

// arrived waits until so many transactions were answered. The test's own deadline ends a wait in vain.
func (n *node) arrived(count uint64) {
	for n.sender.Stats().Transactions < count {
		runtime.Gosched()
	}
}

// have waits until servers were told just some messages.
func have(t *testing.T, peers []*peer, want ...string) {
	t.Helper()
	for _, p := range peers {
		p.until(t, func() bool { return len(p.bodies()) >= len(want) })
		if got := p.bodies(); !slices.Equal(got, want) {
			t.Errorf("%s was told %v, want %v", p.name, got, want)
		}
	}
}

// What is new waits for no tide, however long that is: the answers that are there are read at once.
func TestNewsCutATideShort(t *testing.T) {
	w := newWorld(t)
	w.tides = []time.Duration{time.Hour}
	_, peers, say := w.many(t, sqliteURL(t), 10)
	say("second")
	have(t, peers, "first", "second")
	say("third")
	have(t, peers, "first", "second", "third")
}

// Nor does who finds no room because so many others are under way.
func TestACrowdCutsATideShort(t *testing.T) {
	w := newWorld(t)
	w.tides = []time.Duration{time.Hour}
	_, peers, say := w.many(t, sqliteURL(t), 260)
	say("second")
	have(t, peers, "first", "second")
}

// Who stops does not wait for a tide; what has no answer yet is sent again as it was.
func TestAStopCutsATideShort(t *testing.T) {
	w := newWorld(t)
	w.tides = []time.Duration{time.Hour}
	url := sqliteURL(t)
	n, peers, say := w.many(t, url, 10)
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	t.Cleanup(release)
	peers[0].answers(func(transaction) int { <-hang; return http.StatusBadGateway })
	say("second")
	have(t, peers[1:], "first", "second")
	for peers[0].asked() < 2 {
		runtime.Gosched()
	}
	n.close()
	peers[0].answers(nil)
	w.pass(time.Hour)
	w.node(t, url, 0)
	have(t, peers, "first", "second")
}

// Of those who are asked at once one refuses, one ends the connection, one is silent: each is dealt with as if he were alone, and the others do not wait.
func TestATideOfManyKinds(t *testing.T) {
	w := newWorld(t)
	n, peers, say := w.many(t, sqliteURL(t), 12)
	refuses, ends, silent, others := peers[0], peers[1], peers[2], peers[3:]
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	t.Cleanup(release)
	refuses.answers(func(transaction) int { return http.StatusInternalServerError })
	ends.answers(func(transaction) int {
		if ends.asked() == 2 {
			panic(http.ErrAbortHandler)
		}
		return http.StatusOK
	})
	silent.answers(func(transaction) int { <-hang; return http.StatusOK })
	say("second")
	have(t, append(others, ends), "first", "second")
	n.arrived(12 + 10)
	for n.sender.Stats().Failures == 0 || silent.asked() < 2 { // Why both: nobody else waits until his request has been read
		runtime.Gosched()
	}
	if n.sender.Stats().Failures != 1 || ends.asked() != 3 || silent.asked() != 2 {
		t.Errorf("%d failures, who ended the connection was asked %d times, who is silent %d", n.sender.Stats().Failures, ends.asked(), silent.asked())
	}
	say("third")
	have(t, append(others, ends), "first", "second", "third")
	refuses.answers(nil)
	release()
	w.pass(time.Minute)
	have(t, peers, "first", "second", "third")
}

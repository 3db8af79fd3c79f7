package sender_test

import (
	"encoding/json"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
)

// Each event arrives once and in order at each server, though the node stops and dies in between and one server fails for a while.
func TestEachEventOnceAndInOrder(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t)
		good, bad := w.peer(1), w.peer(2)
		var refusals atomic.Int64 // of a node that has ended a request may still be read while the next one's comes
		bad.answers(func(transaction) int {
			if refusals.Add(1)%3 == 1 {
				return http.StatusBadGateway
			}
			return http.StatusOK
		})
		n := w.node(t, url, 0)
		room, to := n.room(), set(good, bad)
		want := numbered(60)
		for i, body := range want {
			n.say(room, to, body)
			switch i {
			case 15, 45:
				n.close()
			case 30:
				n.crash()
			default:
				continue
			}
			w.pass(time.Hour)
			n = w.node(t, url, 0)
			known, err := n.rooms.Room(t.Context(), room.ID())
			if err != nil {
				t.Fatal(err)
			}
			room = known
		}
		w.pass(time.Hour)
		for _, p := range []*peer{good, bad} {
			p.until(t, func() bool {
				w.pass(10 * time.Minute) // longer than any pause by now
				return len(p.bodies()) >= len(want)
			})
			if got := p.bodies(); !slices.Equal(got, want) {
				t.Errorf("%s got %v", p.name, got)
			}
		}
	})
}

// A transaction whose answer was lost with the node is repeated byte for byte under the same id, and new events wait for the next.
func TestTheSameTransactionAfterACrash(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t)
		p := w.peer(1)
		hang := make(chan struct{})
		release := sync.OnceFunc(func() { close(hang) })
		t.Cleanup(release)
		p.answers(func(transaction) int { <-hang; return http.StatusBadGateway })
		n := w.node(t, url, 0)
		room := n.room()
		n.say(room, set(p), "first")
		n.tell(set(p), "m.device_list_update", `{"stream_id":1}`)
		first := p.next(t)
		n.crash()
		p.answers(nil)
		n = w.node(t, url, time.Hour)
		room, err := n.rooms.Room(t.Context(), room.ID())
		if err != nil {
			t.Fatal(err)
		}
		n.say(room, set(p), "second")
		again := p.next(t)
		if again.id != first.id || again.body != first.body {
			t.Fatalf("first %s %s\nthen %s %s", first.id, first.body, again.id, again.body)
		}
		p.until(t, func() bool { return slices.Equal(p.bodies(), []string{"first", "second"}) })
	})
}

// Of two nodes one sends. When it hangs, the other repeats its transaction as it was; the first finds that it lost the lease.
func TestTheSameTransactionAfterATakeover(t *testing.T) {
	url := postgresOnly(t)
	w := newWorld(t)
	p := w.peer(1)
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	t.Cleanup(release)
	p.answers(func(transaction) int { <-hang; return http.StatusOK })
	one := w.node(t, url, 0)
	room := one.room()
	one.say(room, set(p), "first")
	first := p.next(t)
	p.answers(nil)
	two := w.node(t, url, time.Hour) // for which the lease is over
	again := p.next(t)
	if again.id != first.id || again.body != first.body {
		t.Fatalf("first %s %s\nthen %s %s", first.id, first.body, again.id, again.body)
	}
	release()
	here, err := two.rooms.Room(t.Context(), room.ID())
	if err != nil {
		t.Fatal(err)
	}
	two.say(here, set(p), "second")
	one.say(room, set(p), "third")
	p.until(t, func() bool { return len(p.bodies()) == 3 })
	if got := p.bodies(); !slices.Equal(got, []string{"first", "second", "third"}) {
		t.Errorf("got %v", got)
	}
}

// A server that is dead is tried once and then left alone, however much happens; it is tried again when it speaks, at once.
func TestADeadServerCostsNothingUntilItSpeaks(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t)
		dead, living := w.peer(1), w.peer(2)
		dead.answers(func(transaction) int { return http.StatusBadGateway })
		n := w.node(t, url, 0)
		room, to := n.room(), set(dead, living)
		n.say(room, to, "0")
		dead.next(t)
		for i := 1; i < 50; i++ {
			n.say(room, to, strconv.Itoa(i))
			n.sender.Tell(home, to.Names(), "k"+strconv.Itoa(i), core.EDU{Type: "m.typing", Content: json.RawMessage(`{}`)})
			living.until(t, func() bool { return len(living.bodies()) > i })
		}
		if n := dead.asked(); n != 1 {
			t.Errorf("the dead server was asked %d times", n)
		}
		dead.answers(nil)
		n.sender.Heard(dead.name)
		dead.until(t, func() bool { return len(dead.bodies()) == 50 })
		for _, got := range dead.taken {
			if len(got.EDUs) > 0 {
				t.Errorf("what was ephemeral was kept for a dead server: %v", got.EDUs)
			}
		}
	})
}

// Who missed much is told only the newest event of each room, and all messages that must arrive.
func TestCatchUpByTheNewestOfEachRoom(t *testing.T) {
	w := newWorld(t)
	p := w.peer(1)
	p.answers(func(transaction) int { return http.StatusBadGateway })
	n := w.node(t, sqliteURL(t), 0)
	a, b, to := n.room(), n.room(), set(p)
	n.say(a, to, "told when it failed")
	p.next(t)
	for i := range 130 {
		n.say(a, to, "a"+strconv.Itoa(i))
		n.say(b, to, "b"+strconv.Itoa(i))
		if i%50 == 0 {
			n.tell(to, "m.direct_to_device", `{"n":`+strconv.Itoa(i)+`}`)
		}
	}
	p.answers(nil)
	n.sender.Heard(p.name)
	p.until(t, func() bool { return slices.Contains(p.bodies(), "b129") })
	if got := p.bodies(); !slices.Equal(got, []string{"told when it failed", "a129", "b129"}) {
		t.Errorf("got %v", got)
	}
	edus := 0
	for _, got := range p.taken {
		edus += len(got.EDUs)
	}
	if edus != 3 {
		t.Errorf("%d messages that must arrive, want 3", edus)
	}
}

// Of ephemeral messages that wait under one key the newest is sent.
func TestEphemeralMessagesReplaceOneAnother(t *testing.T) {
	w := newWorld(t)
	p := w.peer(1)
	hang := make(chan struct{})
	p.answers(func(transaction) int { <-hang; return http.StatusOK })
	n := w.node(t, sqliteURL(t), 0)
	n.say(n.room(), set(p), "busy")
	p.next(t)
	for i := range 20 {
		n.sender.Tell(home, []matrix.ServerName{p.name}, "typing", core.EDU{Type: "m.typing", Content: json.RawMessage(strconv.Itoa(i))})
	}
	n.sender.Tell(home, []matrix.ServerName{p.name}, "other", core.EDU{Type: "m.presence", Content: json.RawMessage(`"x"`)})
	close(hang)
	got := p.next(t)
	if len(got.EDUs) != 2 || string(got.EDUs[0].Content) != "19" || got.EDUs[1].Type != "m.presence" {
		t.Errorf("got %+v", got.EDUs)
	}
}

// How far somebody has read is told to who was away, once he is back: the newest of it, and no more than some; who typed is not.
func TestReceiptsWaitForWhoIsAway(t *testing.T) {
	w := newWorld(t)
	p := w.peer(1)
	p.answers(func(transaction) int { return http.StatusBadGateway })
	n := w.node(t, sqliteURL(t), 0)
	read := func(key string, i int) {
		n.sender.Tell(home, []matrix.ServerName{p.name}, key, core.EDU{Type: "m.receipt", Content: json.RawMessage(strconv.Itoa(i))})
	}
	n.say(n.room(), set(p), "you are away")
	p.next(t)
	for n.sender.Stats().Failures == 0 && t.Context().Err() == nil {
		runtime.Gosched()
	}
	for i := range 200 {
		n.sender.Tell(home, []matrix.ServerName{p.name}, "typing", core.EDU{Type: "m.typing", Content: json.RawMessage(`{}`)})
		read("reader "+strconv.Itoa(i), i)
		read("reader 0", i)
	}
	n.tell(set(p), "m.org.example", `{}`) // which is told after all before it is taken in
	p.answers(nil)
	var got []core.EDU
	for len(got) < 101 {
		n.sender.Heard(p.name)
		got = append(got, p.next(t).EDUs...)
	}
	counts := map[string]int{}
	for _, e := range got {
		counts[e.Type]++
	}
	if counts["m.receipt"] != 100 || counts["m.typing"] != 0 || !slices.ContainsFunc(got, func(e core.EDU) bool { return string(e.Content) == "199" }) {
		t.Errorf("told are %v", counts)
	}
}

// What is ephemeral on a node that does not send reaches the other server by the one that does.
func TestEphemeralMessagesOfOtherNodes(t *testing.T) {
	url := postgresOnly(t)
	w := newWorld(t)
	p := w.peer(1)
	one := w.node(t, url, 0)
	room := one.room()
	one.say(room, set(p), "it sends")
	p.next(t)
	two := w.node(t, url, 0)
	var names []matrix.ServerName
	for i := range 400 { // more than one message between nodes holds
		names = append(names, matrix.ServerName("a-server-that-is-not-there-"+strconv.Itoa(i)+".example:1"))
	}
	names = append(names, p.name)
	two.sender.Tell(home, names, "typing", core.EDU{Type: "m.typing", Content: json.RawMessage(`"two"`)})
	if got := p.next(t); len(got.EDUs) != 1 || string(got.EDUs[0].Content) != `"two"` {
		t.Errorf("got %+v", got)
	}
	// That a server speaks to the other node wakes what waits for it, too.
	p.answers(func(transaction) int { return http.StatusBadGateway })
	one.say(room, set(p), "later")
	p.next(t)
	p.answers(nil)
	two.sender.Heard(p.name)
	p.until(t, func() bool { return slices.Contains(p.bodies(), "later") })
}

// The outbox is forgotten when everybody was told, and stands while somebody was not.
func TestTheOutboxEmpties(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t)
		p, dead := w.peer(1), w.peer(2)
		dead.answers(func(transaction) int { return http.StatusBadGateway })
		n := w.node(t, url, 0)
		room := n.room()
		n.say(room, set(p, dead), "0")
		dead.next(t)
		n.say(room, set(p, dead), "1") // the first is kept with the transaction
		left := func() int {
			w.pass(2 * time.Minute)
			rows, err := n.db.ListOutbox(t.Context(), 0, 0, n.db.Position(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			return len(rows)
		}
		for i := range 10 {
			n.say(room, set(p), strconv.Itoa(i))
		}
		p.until(t, func() bool { return len(p.bodies()) == 12 })
		if left() < 11 {
			t.Error("what a server was not told yet is forgotten")
		}
		dead.answers(nil)
		n.sender.Heard(dead.name)
		dead.until(t, func() bool { return len(dead.bodies()) == 2 })
		for tries := 0; left() > 2; tries++ { // the newest may stay
			if tries == 200 {
				t.Fatal("the outbox does not empty")
			}
			n.say(room, set(p), "more")
			p.until(t, func() bool { return len(p.bodies()) == 13+tries })
		}
	})
}

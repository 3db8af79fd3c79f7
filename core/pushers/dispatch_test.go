package pushers_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"rempart/core/rooms"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// world is a room in which bob speaks; alice is told at a gateway that misbehaves, and carol at one that takes everything.
type world struct {
	*rig
	alice, bob, carol *client
	room              *rooms.Room
	odd, good         *gateway
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	r := newRig(t, url, 0)
	w := &world{rig: r, alice: r.user("alice"), bob: r.user("bob"), carol: r.user("carol"), odd: newGateway(t), good: newGateway(t)}
	w.room = w.bob.room(w.alice, w.carol)
	w.alice.set(w.odd, "phone")
	w.carol.set(w.good, "tablet")
	w.begin("phone")
	return w
}

// begin waits until some are told at the odd gateway. Why: who has come into the room is told his count alone, which is not to be what a test counts.
func (w *world) begin(keys ...string) {
	w.t.Helper()
	id := w.say("begin")
	w.good.told("tablet", id)
	for _, key := range keys {
		w.odd.told(key, id)
	}
	w.good.forget()
	w.odd.forget()
}

func (w *world) say(text string) string { w.t.Helper(); return w.bob.say(w.room, text) }

// settle waits until what the clock made due has been done.
func (w *world) settle() { w.t.Helper(); w.bob.settle(w.room, w.good, "tablet") }

func times(list []said, one said) (n int) {
	for _, s := range list {
		if s == one {
			n++
		}
	}
	return n
}

func always(a answer) func(said) answer { return func(said) answer { return a } }

// A gateway that fails is left alone while its pause lasts, then asked by one request; the pause grows with the outage, and is as long as
// the gateway asks for. Nobody else waits meanwhile, and in the end each is told everything in order.
func TestAGatewayThatFailsIsLeftAlone(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		dave := w.user("dave")
		mx.Must(t, w.rooms.Join(t.Context(), rooms.MembershipChange{Room: w.room, Sender: dave.caller.User, Target: dave.caller.User}))
		dave.set(w.odd, "other")
		w.begin("phone", "other")
		asked := func(n int) {
			t.Helper()
			w.odd.until("asked again", func() bool { return len(w.odd.asked) >= n })
		}
		alone := func(n int) {
			t.Helper()
			if w.settle(); len(w.odd.seen("")) != n {
				t.Fatalf("asked %d times, want %d", len(w.odd.seen("")), n)
			}
		}
		w.odd.to(always(answer{status: http.StatusServiceUnavailable}))
		first := w.say("first")
		asked(2)
		alone(2)
		w.odd.to(always(answer{status: http.StatusTooManyRequests, header: [2]string{"Retry-After", "600"}}))
		w.clock.Advance(time.Second)
		asked(3)
		alone(3) // Why first: by then it is known how that ended
		w.odd.to(always(answer{status: http.StatusBadGateway}))
		w.clock.Advance(599 * time.Second)
		alone(3)
		w.clock.Advance(time.Second)
		asked(4)
		alone(4)
		w.clock.Advance(107 * time.Second) // a fifth of the outage, less a tenth of that
		alone(4)
		w.odd.to(nil)
		w.clock.Advance(14 * time.Second)
		last := w.say("last")
		for _, key := range []string{"phone", "other"} {
			w.odd.told(key, last)
		}
		want := slices.Compact(w.good.seen("tablet"))
		if want[0] != first || want[len(want)-1] != last {
			t.Fatalf("carol was told %v", want)
		}
		for _, key := range []string{"phone", "other"} {
			if got := slices.Compact(w.odd.seen(key)); !slices.Equal(got, want) {
				t.Errorf("%s was told %v, want %v", key, got, want)
			}
		}
	})
}

// A notification that a gateway does not like keeps back its own pusher alone, and is left out after ten minutes.
func TestANotificationThatIsRefusedIsLeftOut(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.carol.set(w.odd, "third")
		var bad string
		w.odd.to(func(s said) answer {
			if s.key == "phone" && (bad == "" || s.event == bad) {
				bad = s.event
				return answer{status: http.StatusRequestEntityTooLarge}
			}
			return answer{}
		})
		first := w.say("first")
		second := w.say("second")
		w.odd.told("third", second)
		w.settle()
		w.clock.Advance(5 * time.Minute)
		w.odd.until("asked again", func() bool { return times(w.odd.asked, said{"phone", first}) == 2 })
		w.settle()
		w.clock.Advance(6 * time.Minute)
		w.odd.told("phone", second)
		if got := w.odd.seen("phone"); !slices.Equal(got[:4], []string{first, first, first, second}) {
			t.Errorf("asked %v of %s and %s", got, first, second)
		}
	})
}

// A gateway that rejects a key removes that pusher and no other, and what it says of keys that it was not told means nothing.
func TestRejectedKeys(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.odd.to(always(answer{rejected: "tablet"}))
		w.odd.told("phone", w.say("first"))
		w.settle()
		if !slices.Equal(w.alice.keys(), []string{"phone"}) || !slices.Equal(w.carol.keys(), []string{"tablet"}) {
			t.Fatalf("a gateway removed what it was not told of: %v, %v", w.alice.keys(), w.carol.keys())
		}
		w.odd.to(always(answer{rejected: "phone"}))
		w.say("last")
		eventually(t, "the pusher is removed", func() bool { return len(w.alice.keys()) == 0 })
		asked := len(w.odd.seen("phone"))
		if w.settle(); len(w.odd.seen("phone")) != asked {
			t.Error("told after it was removed")
		}
	})
}

// A key that is set again while its gateway rejects it is another one: it stays, and is told at once what the gateway did not want.
func TestRejectedWhileSetAgain(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		hold := make(chan struct{})
		w.odd.to(always(answer{rejected: "phone", hold: hold}))
		first := w.say("first")
		w.odd.until("asked", func() bool { return len(w.odd.asked) > 0 })
		w.odd.to(nil)
		w.alice.set(w.odd, "phone")
		w.settle()
		close(hold)
		w.odd.until("told again", func() bool { return len(w.odd.asked) > 3 })
		if got := w.odd.seen("phone"); !slices.Equal(got[:2], []string{first, first}) || !slices.Equal(w.alice.keys(), []string{"phone"}) {
			t.Errorf("asked %v, keys %v", got, w.alice.keys())
		}
	})
}

// Whose gateway fails, and who is then to be told at another, waits for the former no more.
func TestSetToAnotherGateway(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.odd.to(always(answer{status: http.StatusInternalServerError}))
		first := w.say("first")
		w.odd.until("asked", func() bool { return len(w.odd.asked) > 0 })
		w.settle()
		other := newGateway(t)
		w.alice.set(other, "phone")
		other.told("phone", first)
		if got := w.odd.seen("phone"); len(got) != 1 {
			t.Errorf("the former was asked %d times", len(got))
		}
	})
}

// What a gateway took right before the process died is told again, then what came after it.
func TestTakenBeforeACrash(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.settle()
		w.odd.told("phone", w.say("before"))
		w.odd.to(always(answer{hold: make(chan struct{})}))
		first := w.say("first")
		second := w.say("second")
		w.odd.until("asked", func() bool { return slices.Contains(w.odd.asked, said{"phone", first}) })
		w.crash()
		w.odd.to(nil)
		newRig(t, url, 10*time.Second) // Why later: what was dead may hold the lease for five seconds
		w.odd.told("phone", second)
		got := w.odd.seen("phone")
		if n := len(got); got[n-1] != second || got[n-2] != first || slices.Index(got, first) == n-2 || slices.Index(got, second) != n-1 {
			t.Errorf("asked %v of %s and %s", got, first, second)
		}
	})
}

// One gateway is asked by so many requests at a time, and those that wait for it hold nobody else up.
func TestOneGatewayTakesNotAll(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		hold, keys := make(chan struct{}), []string{"phone"}
		for n := range 40 {
			u := w.user("u" + string(rune('A'+n)))
			mx.Must(t, w.rooms.Join(t.Context(), rooms.MembershipChange{Room: w.room, Sender: u.caller.User, Target: u.caller.User}))
			keys = append(keys, string(u.caller.User))
			u.set(w.odd, string(u.caller.User))
		}
		w.odd.to(always(answer{hold: hold}))
		first := w.say("first")
		w.odd.until("32 requests", func() bool { return w.odd.open == 32 })
		w.good.told("tablet", w.say("second"))
		w.good.told("tablet", w.say("third"))
		w.odd.to(nil)
		close(hold)
		for _, key := range keys {
			w.odd.told(key, first)
		}
		if w.odd.mu.Lock(); w.odd.most != 32 {
			t.Errorf("%d requests at a time", w.odd.most)
		}
		w.odd.mu.Unlock()
	})
}

// A node that slept past its lease while a gateway kept it waiting notes nothing of that, and tells nothing more; the other goes on.
func TestANodeThatSlept(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("several nodes need PostgreSQL")
	}
	url := pgtest.New(t)
	w := newWorld(t, url)
	hold, asked := make(chan struct{}), 0
	w.odd.to(func(said) answer {
		if asked++; asked == 1 {
			return answer{hold: hold}
		}
		return answer{}
	})
	first := w.say("first")
	w.odd.until("asked", func() bool { return len(w.odd.asked) == 1 })
	awake := newRig(t, url, 10*time.Second)
	w.odd.until("told by the other", func() bool { return slices.Contains(w.odd.taken, said{"phone", first}) })
	close(hold)
	eventually(t, "the one that slept gives up", func() bool { return w.log.Say("begins again") })
	second := w.bob.on(awake).say(w.room, "second")
	w.odd.told("phone", second)
	w.bob.on(awake).settle(w.room, w.good, "tablet")
	w.odd.mu.Lock()
	defer w.odd.mu.Unlock()
	if times(w.odd.asked, said{"phone", first}) != 2 || times(w.odd.asked, said{"phone", second}) != 1 {
		t.Errorf("asked %v of %s and %s", w.odd.asked, first, second)
	}
}

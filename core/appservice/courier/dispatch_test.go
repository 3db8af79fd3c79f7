package courier_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"rempart/core/appservice/courier"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

func (r *rig) standing(id string) (out courier.Standing) {
	r.t.Helper()
	all, err := r.courier.Standings(r.t.Context())
	mx.Must(r.t, err)
	for _, s := range all {
		if s.ID == id {
			out = s
		}
	}
	return out
}

// settle waits until another service has been told twice, so that what was due before has been looked for.
func settle(s *speaker, good *bridge, text string) {
	s.t.Helper()
	for n := range 2 {
		s.say(fmt.Sprint(text, n))
		good.took(fmt.Sprint(text, n))
	}
}

// A service that answers with a failure of any kind is left alone while its pause lasts, and is then told the same under the same id; nobody else
// waits for it. Who administers sees why, since when, and when it is asked again. When it speaks to us it is asked at once.
func TestAServiceThatFails(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		odd, good := newBridge(t, "odd"), newBridge(t, "good")
		r := newRig(t, url, 0, odd, good)
		away, there := r.speaker("odd_a"), r.speaker("good_a")
		away.say("before")
		odd.took("before")
		settle(there, good, "begin")
		status := http.StatusServiceUnavailable
		odd.to(func(int) (int, chan struct{}) { return status, nil })
		n, begin := odd.count(), r.clock.Now().UnixMilli()
		away.say("first")
		next := int64(0)
		for i, s := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests, 0} {
			odd.asked(n + 1 + i)
			eventually(t, "it is seen that it fails", func() bool {
				at := r.standing("odd").NextTry
				return at > r.clock.Now().UnixMilli() && at != next
			})
			at := r.standing("odd")
			next = at.NextTry
			if at.FailingSince != begin || at.LastError == "" || at.Waiting == 0 {
				t.Errorf("after %d tries: %+v", i+1, at)
			}
			away.say(fmt.Sprint("meanwhile", i))
			r.clock.Advance(time.Duration(at.NextTry-r.clock.Now().UnixMilli()-1) * time.Millisecond)
			if settle(there, good, fmt.Sprint("while", i)); odd.count() != n+1+i {
				t.Fatalf("asked %d times before it was due", odd.count()-n)
			}
			odd.mu.Lock()
			status = s
			odd.mu.Unlock()
			if i == 1 {
				r.courier.Heard(r.services.ByID("odd"))
			} else {
				r.clock.Advance(time.Millisecond)
			}
		}
		odd.took("meanwhile3")
		if got := odd.texts(); !slices.Equal(got, []string{"before", "first", "meanwhile0", "meanwhile1", "meanwhile2", "meanwhile3"}) {
			t.Errorf("told %v", got)
		}
		eventually(t, "it fails no more", func() bool {
			settle(there, good, "end")
			away.say("end")
			at := r.standing("odd")
			return at.FailingSince == 0 && at.LastError == "" && at.NextTry == 0
		})
	})
}

// What a service took right before the process died comes again under the same id with the same content, whatever was said since, and then the rest.
func TestTakenBeforeACrash(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		odd := newBridge(t, "odd")
		r := newRig(t, url, 0, odd)
		a := r.speaker("odd_a")
		a.say("before")
		odd.took("before")
		odd.to(func(int) (int, chan struct{}) { return 0, make(chan struct{}) })
		n := odd.count()
		a.say("first")
		odd.asked(n + 1)
		a.say("second")
		r.crash()
		odd.to(nil)
		again := newRig(t, url, 10*time.Second, odd) // Why later: what was dead may hold the lease for five seconds
		a.on(again).say("third")
		odd.took("third")
		odd.mu.Lock()
		one, two := odd.got[n], odd.got[n+1]
		odd.mu.Unlock()
		if one.txn != two.txn || one.body != two.body || !slices.Contains(one.texts, "first") {
			t.Errorf("first %+v, after the crash %+v", one, two)
		}
		if got := odd.texts(); !slices.Equal(got, []string{"before", "first", "second", "third"}) {
			t.Errorf("told %v", got)
		}
	})
}

// What has gathered comes in transactions of 100 events at most, one at a time and in order.
func TestMuchThatWaits(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		odd := newBridge(t, "odd")
		r := newRig(t, url, 0, odd)
		a := r.speaker("odd_a")
		a.say("begin")
		odd.took("begin")
		hold := make(chan struct{})
		odd.to(func(int) (int, chan struct{}) { return 0, hold })
		n := odd.count()
		a.say("first")
		odd.asked(n + 1)
		var want []string
		for i := range 250 {
			want = append(want, fmt.Sprint(i))
		}
		a.say(want...)
		if odd.count() != n+1 {
			t.Error("a second transaction while the first is under way")
		}
		odd.to(nil)
		close(hold)
		odd.took("249")
		got := odd.texts()
		if !slices.Equal(got[slices.Index(got, "first")+1:], want) {
			t.Errorf("told %v", got)
		}
		odd.mu.Lock()
		defer odd.mu.Unlock()
		for _, s := range odd.got {
			if s.events > 100 {
				t.Errorf("%d events in one transaction", s.events)
			}
		}
	})
}

// A node that slept past its lease while a service kept it waiting notes nothing of that: the other, which told the same under the same id, goes on.
func TestANodeThatSlept(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("several nodes need PostgreSQL")
	}
	url, odd := pgtest.New(t), newBridge(t, "odd")
	r := newRig(t, url, 0, odd)
	a := r.speaker("odd_a")
	a.say("before")
	odd.took("before")
	n, hold := odd.count(), make(chan struct{})
	odd.to(func(i int) (int, chan struct{}) {
		if i == n+1 {
			return 0, hold
		}
		return 0, nil
	})
	a.say("first")
	odd.asked(n + 1)
	awake := newRig(t, url, 10*time.Second, odd)
	odd.until("told by the other", func() bool { return len(odd.got) > n+1 && odd.got[n+1].taken })
	close(hold)
	a.on(awake).say("second")
	odd.took("second")
	eventually(t, "the one that slept gives up", func() bool {
		a.say("more")
		return r.log.Say("begins again")
	})
	a.on(awake).say("last")
	odd.took("last")
	got := odd.texts()
	if kept := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s == "more" }); !slices.Equal(kept, []string{"before", "first", "second", "last"}) {
		t.Errorf("told %v", got)
	}
}

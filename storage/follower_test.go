package storage

import (
	"context"
	"testing"
)

// resting is a process that looks for what others have committed only when the test asks it to.
func resting(t *testing.T, r *rig) *follower {
	t.Helper()
	r.follower.close()
	t.Cleanup(func() { r.follower = newFollower(r.DB) }) // the database closes it after the test
	return &follower{db: r.DB, turn: make(chan struct{}, 1)}
}

// Who wants to know what others have committed shares the look with all who want it too, but never one that has begun: it may have
// missed what he knows of.
func TestLooksAreShared(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		var f *follower
		var during *look
		var own bool
		r := openRig(t, Options{URL: url, Publish: func(Batch) { during, own = f.join() }})
		f = resting(t, r)
		other := openRig(t, Options{URL: url})
		before, first := f.join()
		if same, second := f.join(); same != before || !first || second {
			t.Fatal("two who ask at the same time look twice")
		}
		other.commit(t, live(row(1, "a")))
		f.answer(t.Context(), before)
		<-before.answered
		if before.err != nil || r.Position() != 1 {
			t.Fatalf("heard of %d, %v", r.Position(), before.err)
		}
		if during == before || !own {
			t.Error("who asks during a look takes that one")
		}
		other.commit(t, live(row(2, "b")))
		f.answer(t.Context(), during)
		if r.Position() != 2 {
			t.Errorf("heard of %d", r.Position())
		}
	})
}

// noticed is a context that says when somebody begins to wait for its end.
type noticed struct {
	context.Context //nolint:containedctx // it is one
	waits           chan struct{}
}

// Done is the end of the context.
func (n noticed) Done() <-chan struct{} {
	select {
	case n.waits <- struct{}{}:
	default:
	}
	return n.Context.Done()
}

// Who was to look and goes away leaves it to the others.
func TestALookIsLeftToTheOthers(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r, other := openRig(t, Options{URL: url}), openRig(t, Options{URL: url})
		f := resting(t, r)
		other.commit(t, live(row(1, "a")))
		left, _ := f.join()
		stays, answered := noticed{t.Context(), make(chan struct{}, 1)}, make(chan error, 1)
		go func() { answered <- f.share(stays) }()
		<-stays.waits // for the look that was left
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		f.answer(gone, left)
		if err := <-answered; err != nil || r.Position() != 1 {
			t.Errorf("who stayed heard of %d, %v", r.Position(), err)
		}
	})
}

package storage

import (
	"errors"
	"testing"
)

// A process that slept for longer than the stream's entries are kept is not left with what it has in memory: it hears that
// it is lost, and writes nothing more.
func TestSleptTooLong(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		asleep, r := openRig(t, Options{URL: url}), openRig(t, Options{URL: url})
		asleep.follower.close() // as if the process were stopped
		for i := range int64(5) {
			r.commit(t, live(row(i, "x")))
		}
		if err := r.MarkStream(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		r.commit(t, live(row(7, "y")))
		if n, err := r.PruneChanges(t.Context(), 2); err != nil || n != 5 {
			t.Fatalf("pruned %d, %v", n, err)
		}
		asleep.follower = newFollower(asleep.DB)
		if err := asleep.Commit(t.Context(), live(row(8, "late"))); err != nil && !errors.Is(err, ErrRestored) {
			t.Fatal(err)
		}
		if err := asleep.Commit(t.Context(), live(row(9, "later"))); !errors.Is(err, ErrRestored) {
			t.Errorf("a write of a lost process: %v", err)
		}
		<-asleep.Lost()
		select {
		case <-r.Lost():
			t.Error("the other one is lost too")
		default:
		}
		if err := r.Commit(t.Context(), live(row(10, "fine"))); err != nil {
			t.Errorf("a write of the other one: %v", err)
		}
	})
}

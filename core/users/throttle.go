package users

import (
	"sync"
	"time"

	"rempart/internal/matrix"
)

// throttle counts failures for each name and asks for patience after some of them. Memory is bounded: when more names
// fail than there is room for, those that could try again soonest are forgiven.
type throttle struct {
	free  int           // how many failures cost nothing
	step  time.Duration // by how much the others make wait; each is forgotten after as long
	mu    sync.Mutex
	until map[string]time.Time // the instant at which all failures of a name are forgotten
}

// throttleLimit bounds the names, of about 100 bytes each.
const throttleLimit = 50_000

func newThrottle(free int, step time.Duration) *throttle {
	return &throttle{free: free, step: step, until: map[string]time.Time{}}
}

// check answers M_LIMIT_EXCEEDED while a name has failed too often.
func (t *throttle) check(name string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	until, failed := t.until[name]
	if wait := until.Add(-time.Duration(t.free) * t.step).Sub(now); failed && wait > 0 {
		return matrix.LimitExceeded(wait).French("Trop d'échecs ; attendez un instant.")
	}
	return nil
}

// fail counts a failure.
func (t *throttle) fail(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.until) >= throttleLimit {
		t.forgiveLocked(now)
	}
	from := t.until[name]
	if from.Before(now) {
		from = now
	}
	// Why a bound: a flood from elsewhere must not shut a person out for longer than that.
	t.until[name] = minTime(from.Add(t.step), now.Add(time.Duration(t.free+1)*t.step))
}

// forgive forgets the failures of a name.
func (t *throttle) forgive(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.until, name)
}

// forgiveLocked makes room: who has waited enough goes first, then anybody.
func (t *throttle) forgiveLocked(now time.Time) {
	for name, until := range t.until {
		if !until.After(now) {
			delete(t.until, name)
		}
	}
	for name := range t.until { // Go's map order is random
		if len(t.until) < throttleLimit*3/4 {
			return
		}
		delete(t.until, name)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

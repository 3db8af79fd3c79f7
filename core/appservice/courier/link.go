package courier

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"rempart/core/appservice"
	"rempart/storage"
)

// link is one service as it is told. Only the dispatch's goroutine touches it.
type link struct {
	storage.AppserviceCursor
	of *appservice.Service
	// rows says that the outbox may hold some behind Pos, mail that messages for devices may wait, lists that device lists may
	// have changed.
	rows, mail, lists bool
	// counted are users whose counts of keys are to be told.
	counted map[int64]bool
	// ephemeral are messages that wait, by key; order keeps their order.
	ephemeral map[string]json.RawMessage
	order     []string

	inFlight bool
	body     []byte
}

// tell queues something ephemeral; what waits under the same key is replaced.
func (l *link) tell(key string, event json.RawMessage) {
	if !l.of.Ephemeral && !l.of.OldEphemeral || l.Since != 0 {
		return // Why: to a service that fails it would be old when it answers again
	}
	if _, there := l.ephemeral[key]; !there {
		if len(l.order) >= maxWaiting {
			return
		}
		l.order = append(l.order, key)
	}
	l.ephemeral[key] = event
}

// takeTold takes what is ephemeral, up to a number.
func (l *link) takeTold(n int) []json.RawMessage {
	n = min(n, len(l.order))
	out := make([]json.RawMessage, 0, n)
	for _, key := range l.order[:n] {
		out = append(out, l.ephemeral[key])
		delete(l.ephemeral, key)
	}
	l.order = slices.Delete(l.order, 0, n)
	return out
}

// idle reports whether there is nothing to look for.
func (l *link) idle() bool {
	return l.Txn == "" && !l.rows && !l.mail && !l.lists && len(l.counted) == 0 && len(l.order) == 0
}

// arrived notes that a transaction was taken.
func (l *link) arrived(now time.Time) {
	l.Pos, l.Lists = max(l.Pos, l.FlightPos), max(l.Lists, l.FlightLists)
	l.Txn, l.Flight = "", nil
	l.Since, l.Retry, l.Reason = 0, 0, ""
	l.Success = now.UnixMilli()
}

// failed leaves a service alone for a while.
func (l *link) failed(now time.Time, err error) {
	if l.Since == 0 {
		l.Since = now.UnixMilli()
	}
	l.Retry = now.Add(backOff(now.Sub(time.UnixMilli(l.Since)))).UnixMilli()
	if l.Reason = err.Error(); len(l.Reason) > 300 {
		l.Reason = l.Reason[:300]
	}
	clear(l.ephemeral)
	l.order = nil
}

// backOff is how long a service that has failed for some time is left alone: as long again, so that pauses double.
// Spec: application-service-api/#pushing-events
func backOff(failing time.Duration) time.Duration {
	d := min(max(failing, shortestPause), longestPause)
	return d - time.Duration(rand.Int64N(int64(d)/10+1)) //nolint:gosec // no secret
}

package sync

import (
	"sync/atomic"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// tailEvent is one of the last events of a room that somebody follows, with its client JSON up to "unsigned", made by
// who needs it first.
type tailEvent struct {
	pos    int64
	stored *rooms.Stored
	ready  atomic.Pointer[[]byte]
}

// json appends the ready-made part of the event.
func (t *tailEvent) json(dst []byte) []byte {
	b := t.ready.Load()
	if b == nil {
		made := t.stored.ClientJSON(make([]byte, 0, len(t.stored.JSON)+64), false)
		b = &made
		t.ready.Store(b)
	}
	return append(dst, *b...)
}

func (t *tailEvent) bytes() int64 { return 256 + 2*int64(len(t.stored.JSON)) }

// addTail appends an event. Readers hold the slice as it was: elements are never changed in place.
func (r *hubRoom) addTail(h *hub, pos int64, e *rooms.Stored) {
	if e.Type == "m.room.redaction" && e.Redacts != "" {
		r.forgetTail(h, e.Redacts)
	}
	t := &tailEvent{pos: pos, stored: e}
	if len(r.tail) >= tailEvents || h.tailed > tailBudget {
		cut := len(r.tail)/2 + 1
		r.cutTail(h, min(cut, len(r.tail)))
	}
	r.tail = append(r.tail, t)
	h.tailed += t.bytes()
}

// forgetTail cuts the tail behind an event that was redacted: readers find its new form in storage.
func (r *hubRoom) forgetTail(h *hub, redacted matrix.EventID) {
	for i, t := range r.tail {
		if t.stored.ID == redacted {
			r.cutTail(h, i+1)
			return
		}
	}
}

// cutTail forgets the oldest n events.
func (r *hubRoom) cutTail(h *hub, n int) {
	if n == 0 {
		return
	}
	for _, t := range r.tail[:n] {
		h.tailed -= t.bytes()
	}
	r.tailFrom = r.tail[n-1].pos
	// Why a new slice: the old array would keep what was cut.
	r.tail = append(make([]*tailEvent, 0, tailEvents), r.tail[n:]...)
}

// dropTail forgets the tail; what comes behind pos will be kept.
func (r *hubRoom) dropTail(h *hub, pos int64) {
	for _, t := range r.tail {
		h.tailed -= t.bytes()
	}
	r.tail, r.tailFrom = nil, max(r.tailFrom, pos)
}

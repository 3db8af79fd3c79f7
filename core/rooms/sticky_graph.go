package rooms

import (
	"rempart/internal/matrix"
	"rempart/storage"
)

// stick notes until when an event that enters the timeline sticks. MSC4354
func (b *builder) stick(e *Stored) {
	if e.Sticky == 0 {
		return
	}
	now := b.s.nowMS()
	expires := StickyUntil(e.Event, now)
	if b.sticksUntil > 0 {
		expires = b.sticksUntil
	}
	if expires <= now {
		return
	}
	row := &storage.StickyRow{Event: &e.Row, Expires: expires}
	e.Row.Flags |= storage.FlagSticky
	b.change.Add(row)
	b.change.Live(storage.Live{Kind: storage.KindSticky, Room: b.r.nid, Value: row})
}

// StickyUntil is when an event that came at an instant stops to stick. Why the earlier time: a clock that goes ahead must
// not lengthen it.
func StickyUntil(e *matrix.Event, received int64) int64 {
	return min(received, e.OriginServerTS) + e.Sticky
}

package sync

import (
	"context"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// maxSticky bounds the sticky events of one room in one answer; the newest are told.
const maxSticky = 5000

// stickyRooms are the rooms that have sticky events, until when. Guarded by the hub's mutex.
type stickyRooms struct {
	until map[int64]int64
	// known says that rooms which are not listed have none; before, they must be looked up.
	known bool
}

// hear notes a sticky event. One of another node says no time: it may be the longest.
func (k *stickyRooms) hear(l *storage.Live, now int64) {
	until := now + matrix.MaxSticky
	if row, ok := l.Value.(*storage.StickyRow); ok {
		until = row.Expires
	}
	k.until[l.Room] = max(k.until[l.Room], until)
}

// sweep forgets rooms whose events have stopped to stick.
func (k *stickyRooms) sweep(now int64) {
	for room, until := range k.until {
		if until <= now {
			delete(k.until, room)
		}
	}
}

// readSticky finds the rooms that had sticky events when the process started.
func (s *Service) readSticky(ctx context.Context) error {
	found := map[int64]int64{}
	err := s.db.EachStickyRoom(ctx, s.now().UnixMilli(), func(room, until int64) { found[room] = until })
	if err != nil {
		return err
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for room, until := range found {
		s.hub.sticky.until[room] = max(s.hub.sticky.until[room], until)
	}
	s.hub.sticky.known = true
	return nil
}

// mayStick reports whether a room may have sticky events.
func (b *build) mayStick(room int64) bool {
	h := b.s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	until, listed := h.sticky.until[room]
	return !h.sticky.known || listed && until > b.now.UnixMilli()
}

// writeSticky writes the events that stick and do not stand in the timeline, whatever the filter and the history's visibility.
// MSC4354
func (b *build) writeSticky(v *roomView, t *timeline) (bool, error) {
	if !b.mayStick(v.room) {
		return false, nil
	}
	now := b.now.UnixMilli()
	list, err := b.s.db.ListSticky(b.ctx, v.room, t.after, t.upto, now, maxSticky)
	if err != nil || len(list) == 0 {
		return false, err
	}
	shown := make(map[int64]bool, len(t.lines))
	for _, l := range t.lines {
		shown[l.stored.Row.NID] = true
	}
	nids, until := make([]int64, 0, len(list)), make(map[int64]int64, len(list))
	for _, k := range list {
		if !shown[k.Event] {
			nids = append(nids, k.Event)
			until[k.Event] = k.Expires
		}
	}
	events, err := b.s.rooms.Events(b.ctx, nids)
	if err != nil {
		return false, err
	}
	start := len(b.out)
	b.out = append(b.out, `"msc4354_sticky":{"events":[`...)
	empty := len(b.out)
	for _, e := range events {
		if e.Sticky == 0 || e.Row.Flags&unseen != 0 || b.ignored[e.Sender] && !e.IsState() {
			continue // redacted since, or not wanted
		}
		u := rooms.Unsigned{Age: now - e.OriginServerTS, StickyTTL: until[e.Row.NID] - now}
		b.out = append(rooms.AppendClientEvent(b.out, e, u, false), ',')
	}
	if len(b.out) == empty {
		b.out = b.out[:start]
		return false, nil
	}
	b.endList()
	b.out = append(b.out, `},`...)
	return true, nil
}

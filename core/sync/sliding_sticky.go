package sync

import (
	"cmp"
	"slices"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// unstableSticky is the name by which clients ask for sticky events. MSC4354
const unstableSticky = "org.matrix.msc4354.sticky_events"

// maxStickyTold bounds how many sticky events one answer tells; the client's place in them is where the next goes on.
const maxStickyTold = 100

// stuck is a sticky event that is to be told.
type stuck struct {
	room int64
	storage.Sticky
}

// noteTimeline remembers what an answer shows in timelines, which is not told as sticky once more, and which rooms begin.
func (b *slidingBuild) noteTimeline(x *slidingRoom) {
	if !b.r.q.Extensions.sticky.enabled {
		return
	}
	if x.initial {
		b.began[x.room] = true
	}
	for _, l := range x.t.lines {
		if l.stored.Sticky != 0 {
			b.shown[l.stored.Row.NID] = true
		}
	}
}

// extSticky writes the events that stick in the rooms that the user is in: those that came behind the client's place in them,
// and of rooms that begin all. MSC4354
func (b *slidingBuild) extSticky() error {
	x := &b.r.q.Extensions.sticky
	after := int64(0)
	if t, err := matrix.ParseSyncToken(x.since); err == nil && t.Epoch == b.s.db.Epoch() {
		after = t.Pos
	}
	list, err := b.sticking(after)
	if err != nil {
		return err
	}
	upto := b.head
	if len(list) > x.limit {
		upto = list[x.limit-1].Pos
		list = list[:x.limit]
	}
	if len(list) == 0 {
		return nil
	}
	b.found = true
	slices.SortStableFunc(list, func(a, b stuck) int { return cmp.Compare(a.room, b.room) })
	return b.group(unstableSticky, func() error {
		err := b.group("rooms", func() error { return b.writeStuck(list) })
		place := matrix.SyncToken{Epoch: b.s.db.Epoch(), Pos: max(upto, after)}
		b.out = append(append(append(b.out, `"next_batch":"`...), place.String()...), `",`...)
		return err
	})
}

// sticking lists what is to be told, oldest first.
func (b *slidingBuild) sticking(after int64) (list []stuck, err error) {
	for _, room := range b.stickyRooms() {
		from := after
		if b.began[room] {
			from = 0
		}
		rows, err := b.s.db.ListSticky(b.ctx, room, from, b.head, b.now.UnixMilli(), maxSticky)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if !b.shown[row.Event] {
				list = append(list, stuck{room, row})
			}
		}
	}
	slices.SortFunc(list, func(a, b stuck) int { return cmp.Compare(a.Pos, b.Pos) })
	return list, nil
}

// stickyRooms are the rooms of the user in which something sticks; none before it is known which do: the client's place stays.
func (b *slidingBuild) stickyRooms() (out []int64) {
	h := b.s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	for room, until := range h.sticky.until {
		if j, in := b.u.find(room); in && j.pos <= b.head && until > b.now.UnixMilli() && h.sticky.known {
			out = append(out, room)
		}
	}
	return out
}

// writeStuck writes events by room; the list is in that order.
func (b *slidingBuild) writeStuck(list []stuck) error {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].room == list[0].room {
			n++
		}
		if err := b.writeStuckIn(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func (b *slidingBuild) writeStuckIn(list []stuck) error {
	room, err := b.s.rooms.RoomByNID(b.ctx, list[0].room)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil // removed since
	}
	if err != nil {
		return err
	}
	nids, until := make([]int64, len(list)), make(map[int64]int64, len(list))
	for i, k := range list {
		nids[i], until[k.Event] = k.Event, k.Expires
	}
	events, err := b.s.rooms.Events(b.ctx, nids)
	if err != nil {
		return err
	}
	b.out = append(matrix.AppendJSONString(b.out, room.ID()), `:{"events":[`...)
	now := b.now.UnixMilli()
	for _, e := range events {
		if e.Sticky == 0 || e.Row.Flags&unseen != 0 || b.ignored[e.Sender] && !e.IsState() {
			continue // redacted since, or not wanted
		}
		u := rooms.Unsigned{Age: now - e.OriginServerTS, StickyTTL: until[e.Row.NID] - now}
		b.out = append(rooms.AppendClientEvent(b.out, e, u, false), ',')
	}
	b.endList()
	b.out = append(b.out, `},`...)
	return nil
}

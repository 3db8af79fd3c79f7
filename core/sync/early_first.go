package sync

import (
	"cmp"
	"errors"
	"slices"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Of which rooms the state is read ahead: those where it has changed so often, and that have so many members, at most. The others are
// read one by one, from what is folded of their state.
const (
	aheadChanges = 512
	aheadMembers = 256
)

// readAhead reads what a first sync will ask of some rooms. Why not where the filter names rooms: most are not wanted then.
func (b *build) readAhead(views []*roomView) error {
	b.early = nil
	if !b.initial || len(views) < 2 || b.f.Room.Rooms != nil {
		return nil
	}
	early := make(map[int64]*earlyRoom, len(views))
	if err := b.readAheadUnread(views, early); err != nil {
		return err
	}
	nids := make([]int64, len(views))
	heads := make([]storage.RoomFrom, len(views))
	for i, v := range views {
		nids[i], heads[i] = v.room, storage.RoomFrom{Room: v.room, From: b.head}
		if early[v.room] == nil {
			early[v.room] = &earlyRoom{read: -1}
		}
	}
	if err := b.readAheadLines(views, early); err != nil {
		return err
	}
	moved, err := b.s.db.ListReceiptsIn(b.ctx, nids, 0, b.head)
	if err != nil {
		return err
	}
	states, err := b.s.db.ListStateEnds(b.ctx, heads)
	if err != nil {
		return err
	}
	for room, e := range early {
		e.told, e.moved, e.state = true, moved[room], states[room]
	}
	b.early = early
	return b.readAheadState()
}

// readAheadState reads the state of rooms that are not large, and of its events those that will be told.
func (b *build) readAheadState() error {
	var in []int64
	for room, e := range b.early {
		if e.state.Seq > 0 && e.state.Seq <= aheadChanges {
			in = append(in, room)
		}
	}
	sizes, err := b.s.db.CountMembersIn(b.ctx, in)
	if err != nil {
		return err
	}
	var at []storage.RoomFrom
	for _, room := range in {
		if n := sizes[room]; n.Joined+n.Invited <= aheadMembers {
			at = append(at, storage.RoomFrom{Room: room, From: b.early[room].state.Seq})
		}
	}
	held, err := b.s.db.ListStates(b.ctx, at)
	if err != nil {
		return err
	}
	var nids []int64
	for room, list := range held {
		e := b.early[room]
		e.held, e.sizes = list, sizes[room]
		for _, h := range list {
			if h.Event != 0 && (b.tellsState(h.Type) || slices.Contains(e.members, h.Key)) {
				nids = append(nids, h.Event)
			}
		}
	}
	_, err = b.s.rooms.Events(b.ctx, nids) // they stay in memory until they are written
	return err
}

// tellsState reports whether whole states tell of a type. Members that are loaded lazily are looked for one by one.
func (b *build) tellsState(typ string) bool {
	return b.f.Room.State.MatchType(typ) && (typ != "m.room.member" || !b.f.Room.lazy())
}

// holder is the event that held a key of the room's state at its last change; 0 for none.
func (e *earlyRoom) holder(key int64) int64 {
	i, ok := slices.BinarySearchFunc(e.held, key, func(h storage.HeldKey, key int64) int { return cmp.Compare(h.Key, key) })
	if !ok {
		return 0
	}
	return e.held[i].Event
}

// heldEvent is the event that held a key at the last change of the state of a room that was read ahead; nil for none.
func (b *build) heldEvent(e *earlyRoom, t matrix.StateTuple) (*rooms.Stored, error) {
	key, err := b.s.db.FindStateKeyNID(b.ctx, t)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	nid := e.holder(key)
	if nid == 0 {
		return nil, nil
	}
	events, err := b.s.rooms.Events(b.ctx, []int64{nid})
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return events[0], nil
}

// memberEvent is the number of a member's event at a position, by the number of his state key; 0 for none.
func (b *build) memberEvent(room, key, at int64) (int64, error) {
	if e := b.early[room]; e != nil && e.held != nil && e.state.Pos <= at {
		return e.holder(key), nil
	}
	return b.s.db.FindStateEvent(b.ctx, room, key, at)
}

// readAheadUnread reads what unread counts are made of in the rooms where that is not in memory.
func (b *build) readAheadUnread(views []*roomView, early map[int64]*earlyRoom) error {
	var in []joinedRoom
	h := b.s.hub
	h.mu.Lock()
	for _, v := range views {
		if b.u.marks[v.room] == nil {
			in = append(in, v.joinedRoom)
		}
	}
	h.mu.Unlock()
	if len(in) == 0 {
		return nil
	}
	if err := b.readEarlyOwn(in, early); err != nil {
		return err
	}
	return b.readEarlyUnread(in, early)
}

// readAheadLines reads the ends of the timelines that are not in memory, and the events there.
func (b *build) readAheadLines(views []*roomView, early map[int64]*earlyRoom) error {
	limit := b.f.Room.limit()
	var ends []storage.RoomFrom
	for _, v := range views {
		if v.tailFrom > 0 && len(v.tail) <= limit {
			early[v.room].looked = limit + 1
			ends = append(ends, storage.RoomFrom{Room: v.room, From: b.head})
		}
	}
	lines, err := b.s.db.ListTimelines(b.ctx, ends, limit+1)
	if err != nil {
		return err
	}
	nids := make([]int64, 0, len(ends)*(limit+1))
	for room, list := range lines {
		early[room].lines = list
		for _, x := range list {
			nids = append(nids, x.NID)
		}
	}
	events, err := b.s.rooms.Events(b.ctx, nids) // they stay in memory until they are written
	if err != nil || !b.f.Room.lazy() {
		return err
	}
	own, err := b.memberKey(b.c.User)
	if err != nil {
		return err
	}
	for _, e := range early {
		e.members = append(e.members, own)
	}
	for _, x := range events {
		key, err := b.memberKey(x.Sender)
		if err != nil {
			return err
		}
		early[x.Row.Room].members = append(early[x.Row.Room].members, key)
	}
	return nil
}

// memberKey is the number of a member's state key; 0 when there is none.
func (b *build) memberKey(user matrix.UserID) (int64, error) {
	key, err := b.s.db.FindStateKeyNID(b.ctx, memberTuple(user))
	if errors.Is(err, storage.ErrNotFound) {
		return 0, nil
	}
	return key, err
}

// movedReceipts are the receipts of a room that moved in (after, head].
func (b *build) movedReceipts(room, after int64) ([]storage.ReceiptRow, error) {
	if e := b.early[room]; e != nil && e.told && after == 0 {
		return e.moved, nil
	}
	return b.s.db.ListReceipts(b.ctx, room, after, b.head)
}

// stateSeq is the version of a room's current state at a position up to the head; 0 for none.
func (b *build) stateSeq(room, at int64) (int64, error) {
	if e := b.early[room]; e != nil && e.state.Seq > 0 && e.state.Pos <= at {
		return e.state.Seq, nil
	}
	return b.s.db.StateSeqAt(b.ctx, room, at)
}

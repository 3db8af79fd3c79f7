package sync

import "rempart/storage"

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
	for room, e := range early {
		e.told, e.moved, e.state = true, moved[room], states[room]
	}
	b.early = early
	return err
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
	_, err = b.s.rooms.Events(b.ctx, nids) // they stay in memory until they are written
	return err
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

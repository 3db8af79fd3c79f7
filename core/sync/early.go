package sync

import (
	"slices"

	"rempart/storage"
)

// earlyRooms is how many rooms are looked at together.
const earlyRooms = 64

// earlyRoom is what was read of a room ahead, together with others with which the answer begins: each question to the
// database is then asked once for all of them.
type earlyRoom struct {
	known    bool                 // the user's own receipts and data are
	receipts []storage.ReceiptRow // the user's own
	account  []storage.AccountData
	counts   *storage.RoomCounts // nil: not read
	// hits are the corrections behind read; -1: not read.
	read int64
	hits []storage.PushHit
	// lines are the newest events, as many as looked at the most; 0: not read.
	looked int
	lines  []storage.TimelineEntry
	// shown are the receipts at events from this position on; 0: not read.
	from  int64
	shown []storage.ReceiptRow
	// moved are all receipts, state is the last change of state.
	told  bool // moved is known
	moved []storage.ReceiptRow
	state storage.StateEnd
	// held is the room's state at that change, and sizes how many are in the room; nil: not read.
	held  []storage.HeldKey
	sizes storage.RoomSizes
	// members are the state keys of those who will be told of where members are loaded lazily.
	members []int64
}

// readEarly reads ahead what will be asked of the rooms of some picks that were not sent before.
func (b *slidingBuild) readEarly(picks []pick) error {
	b.early = nil
	var in []*pick
	var joined []joinedRoom
	for i := range picks {
		if p := &picks[i]; p.mark == 0 && p.isIn() {
			in, joined = append(in, p), append(joined, joinedRoom{p.room, p.pos})
		}
	}
	if len(in) < 2 {
		return nil
	}
	early := make(map[int64]*earlyRoom, len(in))
	if err := b.readEarlyOwn(joined, early); err != nil {
		return err
	}
	if err := b.readEarlyUnread(joined, early); err != nil {
		return err
	}
	for _, step := range [...]func([]*pick, map[int64]*earlyRoom) error{b.readEarlyLines, b.readEarlyShown} {
		if err := step(in, early); err != nil {
			return err
		}
	}
	b.early = early
	return nil
}

// readEarlyOwn reads the user's own receipts and data.
func (b *build) readEarlyOwn(in []joinedRoom, early map[int64]*earlyRoom) error {
	nids := make([]int64, len(in))
	for i, j := range in {
		nids[i] = j.room
	}
	receipts, err := b.s.db.ListReceiptsOfIn(b.ctx, b.u.nid, nids)
	if err != nil {
		return err
	}
	account, err := b.s.db.ListAccountDataIn(b.ctx, b.u.nid, nids)
	if err != nil {
		return err
	}
	for _, room := range nids {
		early[room] = &earlyRoom{known: true, receipts: receipts[room], account: account[room], read: -1}
	}
	return nil
}

// readEarlyUnread reads what unread counts are made of beside the user's own receipts, where that is not in memory.
func (b *build) readEarlyUnread(in []joinedRoom, early map[int64]*earlyRoom) error {
	var marks []storage.RoomFrom
	var counts []int64
	h := b.s.hub
	h.mu.Lock()
	for _, p := range in {
		if b.u.marks[p.room] == nil {
			e := early[p.room]
			e.read = p.pos
			if all, found := readAll(e.receipts); found {
				e.read = all.pos
			}
			marks = append(marks, storage.RoomFrom{Room: p.room, From: e.read})
		}
		if r := h.rooms[p.room]; r == nil || !r.counted {
			counts = append(counts, p.room)
		}
	}
	h.mu.Unlock()
	hits, err := b.s.db.ListPushHitsIn(b.ctx, b.u.nid, marks)
	if err != nil {
		return err
	}
	for room, list := range hits {
		early[room].hits = list
	}
	found, err := b.s.db.ListRoomCounts(b.ctx, counts)
	for room, c := range found {
		early[room].counts = &c
	}
	return err
}

// readEarlyLines reads the ends of the timelines that are not in memory, and the events there.
func (b *slidingBuild) readEarlyLines(in []*pick, early map[int64]*earlyRoom) error {
	var ends []storage.RoomFrom
	most := 0
	h := b.s.hub
	h.mu.Lock()
	for _, p := range in {
		if r := h.rooms[p.room]; r == nil || len(r.tail) <= p.limit {
			early[p.room].looked = p.limit + 1
			ends = append(ends, storage.RoomFrom{Room: p.room, From: b.head})
			most = max(most, p.limit+1)
		}
	}
	h.mu.Unlock()
	lines, err := b.s.db.ListTimelines(b.ctx, ends, most)
	if err != nil {
		return err
	}
	var nids []int64
	for room, list := range lines {
		e := early[room]
		e.lines = list[:min(len(list), e.looked)]
		for _, x := range e.lines {
			nids = append(nids, x.NID)
		}
	}
	_, err = b.s.rooms.Events(b.ctx, nids) // they stay in memory until they are written
	return err
}

// readEarlyShown reads the receipts at what will be shown.
func (b *slidingBuild) readEarlyShown(in []*pick, early map[int64]*earlyRoom) error {
	var behind []storage.RoomFrom
	for _, p := range in {
		e := early[p.room]
		if n := min(len(e.lines), p.limit); n > 0 && p.config.ext&withReceipts != 0 {
			e.from = e.lines[n-1].Pos
			behind = append(behind, storage.RoomFrom{Room: p.room, From: e.from})
		}
	}
	shown, err := b.s.db.ListReceiptsBehindIn(b.ctx, behind)
	for room, list := range shown {
		early[room].shown = list
	}
	return err
}

// ownReceipts are all receipts of the user in a room.
func (b *build) ownReceipts(room int64) ([]storage.ReceiptRow, error) {
	if e := b.early[room]; e != nil && e.known {
		return e.receipts, nil
	}
	return b.s.db.ListReceiptsOf(b.ctx, room, b.u.nid)
}

// ownData is the user's data for a room.
func (b *build) ownData(room int64) ([]storage.AccountData, error) {
	if e := b.early[room]; e != nil && e.known {
		return e.account, nil
	}
	return b.s.db.ListRoomAccountData(b.ctx, b.u.nid, room)
}

// hitsBehind are the corrections of what events of a room count, behind a position.
func (b *build) hitsBehind(room, pos int64) ([]storage.PushHit, error) {
	if e := b.early[room]; e != nil && e.read == pos {
		return e.hits, nil
	}
	return b.s.db.ListPushHits(b.ctx, b.u.nid, room, pos)
}

// roomCounts are the running counts of a room.
func (b *build) roomCounts(room int64) (storage.RoomCounts, error) {
	if e := b.early[room]; e != nil && e.counts != nil {
		return *e.counts, nil
	}
	return b.s.db.GetRoomCounts(b.ctx, room)
}

// entries are the newest events of a room in (after, upto].
func (b *build) entries(room, after, upto int64, limit int) ([]storage.TimelineEntry, error) {
	if e := b.early[room]; e != nil && e.looked >= limit && after == 0 && upto == b.head {
		return e.lines[:min(len(e.lines), limit)], nil
	}
	return b.s.db.ListTimeline(b.ctx, room, after, upto, limit)
}

// receiptsBehind are the receipts of a room at events from a position on.
func (b *build) receiptsBehind(room, from int64) ([]storage.ReceiptRow, error) {
	if e := b.early[room]; e != nil && e.from > 0 && e.from <= from {
		return slices.DeleteFunc(slices.Clone(e.shown), func(r storage.ReceiptRow) bool { return r.EventPos < from }), nil
	}
	return b.s.db.ListReceiptsBehind(b.ctx, room, from)
}

package sync

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"sync"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Types of account data that lists of rooms look at.
const (
	directType = "m.direct"
	tagType    = "m.tag"
)

// slide is the list of rooms of a user who uses sliding sync, as all his connections see it.
type slide struct {
	// mu comes before hub.mu.
	mu     sync.Mutex
	loaded bool
	// at is the position of the user's memberships as of the list, direct and tags those of his data.
	at, direct, tags int64
	// rooms are by number; order are their places in rooms, most recently active first, without those that lists do not show.
	rooms []slideRoom
	order []int32
	// pos is the position up to which notes are taken in.
	pos int64
	// movesFrom is the position from which on it is known what moved.
	movesFrom int64

	numbers map[matrix.RoomID]int64 // of direct rooms and of rooms in spaces; 0: not known here
	roomTag map[int64][]string      // nil: to be read
	types   []string                // of rooms, by the number in slideRoom.kind
	spaces  map[matrix.RoomID]map[int64]bool
}

// slideRoom is a room of the list.
type slideRoom struct {
	room int64
	// active is the position of the last event, moved that of the last thing of any kind.
	active, moved int64
	// pos is the position of the user's membership, event its number where he is out of the room.
	pos, event int64
	membership storage.Membership
	// shown says that lists show the room: not those that the user left himself.
	shown     bool
	dm        bool
	judged    bool // encrypted and kind are known
	encrypted bool
	kind      uint16 // 0: without a type
}

// slideOf is the user's list, up to date and locked; nil while his rooms must be read anew. The caller unlocks it.
func (s *Service) slideOf(ctx context.Context, u *hubUser, c *matrix.Caller) (*slide, error) {
	h := s.hub
	h.mu.Lock()
	if u.slide == nil {
		u.slide, u.stirs = &slide{}, &stirs{typingFrom: h.eph}
	}
	l := u.slide
	h.mu.Unlock()
	l.mu.Lock()
	if fresh, err := l.update(ctx, s, u, c); err != nil || !fresh {
		l.mu.Unlock()
		return nil, err
	}
	return l, nil
}

// update takes in what was noted, or reads the list anew where that does not do. False: the user's rooms are not known at
// the moment, so that not all is noted.
func (l *slide) update(ctx context.Context, s *Service, u *hubUser, c *matrix.Caller) (bool, error) {
	h := s.hub
	h.mu.Lock()
	if u.stale || !u.loaded {
		h.mu.Unlock()
		return false, nil
	}
	n := u.stirs
	noted, lost, membership, pos, direct, tags := n.rooms, n.lost, u.membership, h.pos, n.direct, n.tags
	n.rooms, n.lost = nil, false
	h.mu.Unlock()
	if !l.loaded || lost || membership > l.at {
		if err := l.load(ctx, s, u, c); err != nil {
			h.mu.Lock()
			n.lost = true
			h.mu.Unlock()
			return false, err
		}
		if !l.loaded || lost {
			l.movesFrom = pos
		}
		l.loaded, l.at, l.direct = true, membership, -1
	}
	l.pos = pos
	for _, x := range noted {
		l.apply(x)
	}
	if direct > l.direct || l.direct < 0 {
		if err := l.loadDirect(ctx, s, u); err != nil {
			return false, err
		}
		l.direct = max(direct, 0)
	}
	if tags > l.tags {
		l.roomTag, l.tags = nil, tags
	}
	return true, nil
}

// load reads the list. Whatever is known of the rooms beside their standing is kept.
func (l *slide) load(ctx context.Context, s *Service, u *hubUser, c *matrix.Caller) error {
	rows, err := s.standings(ctx, u)
	if err != nil {
		return err
	}
	old := l.rooms
	l.rooms = make([]slideRoom, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		r := slideRoom{room: row.Room, active: row.Last, moved: max(row.Last, row.Pos), pos: row.Pos, event: row.Event,
			membership: row.Membership, shown: true}
		if row.Membership == storage.MemberInvite || row.Membership == storage.MemberKnock {
			r.active, r.moved = row.Pos, row.Pos
		}
		switch row.Membership {
		case storage.MemberLeave, storage.MemberBan, storage.MemberNone:
			if r.shown, err = s.wasRemoved(ctx, c, row); err != nil {
				return err
			}
		}
		l.rooms = append(l.rooms, r)
	}
	slices.SortFunc(l.rooms, func(a, b slideRoom) int { return cmp.Compare(a.room, b.room) })
	l.keepFrom(old)
	l.order = l.order[:0]
	for i := range l.rooms {
		if l.rooms[i].shown {
			l.order = append(l.order, int32(i)) //nolint:gosec // Why: a user is in fewer rooms
		}
	}
	slices.SortFunc(l.order, func(a, b int32) int { return l.before(&l.rooms[a], &l.rooms[b]) })
	return nil
}

// keepFrom takes over what the list before knew of rooms whose standing is the same.
func (l *slide) keepFrom(old []slideRoom) {
	for i := range l.rooms {
		r := &l.rooms[i]
		for len(old) > 0 && old[0].room < r.room {
			old = old[1:]
		}
		if len(old) > 0 && old[0].room == r.room && old[0].membership == r.membership {
			r.moved = max(r.moved, old[0].moved)
			r.judged, r.encrypted, r.kind = old[0].judged, old[0].encrypted, old[0].kind
		}
	}
}

// before is the order of the list: the last active first.
func (l *slide) before(a, b *slideRoom) int {
	if a.active != b.active { // Why not cmp.Or: it compares the numbers of rooms each time, for nothing
		return cmp.Compare(b.active, a.active)
	}
	return cmp.Compare(a.room, b.room)
}

// wasRemoved reports whether a user who was in a room was put out of it: lists go on to show it. MSC4186: rooms that one
// has left oneself, or was never in, are not shown.
func (s *Service) wasRemoved(ctx context.Context, c *matrix.Caller, row *storage.Standing) (bool, error) {
	if !row.Removed {
		return false, nil
	}
	room, err := s.rooms.RoomByNID(ctx, row.Room)
	if err != nil {
		return false, nil //nolint:nilerr // Why: purged since
	}
	events, err := s.rooms.Events(ctx, []int64{row.Event})
	if err != nil || len(events) == 0 || events[0].Row.Branch < 0 {
		return false, err
	}
	was, err := s.rooms.KeyAt(ctx, room, events[0].Before(), memberTuple(c.User))
	return was != nil && was.Membership() == "join", err
}

// place is where a room stands in rooms; -1 when it is not in it.
func (l *slide) place(room int64) int {
	i, ok := slices.BinarySearchFunc(l.rooms, room, func(r slideRoom, n int64) int { return cmp.Compare(r.room, n) })
	if !ok {
		return -1
	}
	return i
}

// apply takes in a note.
func (l *slide) apply(x stir) {
	i := l.place(x.room)
	if i < 0 {
		return
	}
	r := &l.rooms[i]
	r.moved = max(r.moved, x.pos)
	if x.traits {
		r.judged = false
		l.spaces = nil
	}
	if !x.active || x.pos <= r.active || !r.shown || r.membership != storage.MemberJoin {
		return
	}
	at := l.rank(i)
	l.order = slices.Delete(l.order, at, at+1)
	r.active = x.pos
	l.order = slices.Insert(l.order, l.rank(i), int32(i)) //nolint:gosec // Why: a user is in fewer rooms
}

// rank is where a room stands, or would stand, in the order.
func (l *slide) rank(i int) int {
	return sort.Search(len(l.order), func(k int) bool { return l.before(&l.rooms[l.order[k]], &l.rooms[i]) >= 0 })
}

// knowMoves reads what moved since a position, for connections from before the list was loaded.
func (l *slide) knowMoves(ctx context.Context, s *Service, u *hubUser, from int64) error {
	if from >= l.movesFrom {
		return nil
	}
	moves, err := s.db.ListMoves(ctx, u.nid, from)
	if err != nil {
		return err
	}
	for room, pos := range moves {
		if i := l.place(room); i >= 0 {
			l.rooms[i].moved = max(l.rooms[i].moved, pos)
		}
	}
	l.movesFrom = from
	return nil
}

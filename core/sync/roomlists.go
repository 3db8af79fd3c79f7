package sync

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"rempart/storage"
)

// Lists of rooms of users of sliding sync who are in many are stored in one piece, so that the first window after a restart,
// or after the user was away, need not read all rows.
const (
	manyRooms     = 1000             // fewer are read row by row
	keepListEvery = 10 * time.Minute // at most
	keepListAfter = 2000             // entries of the stream
	keepListsEnd  = 64               // at most so many when the process ends
)

// standings are how a user stood to his rooms when his moves were so many; events behind the floor are missing.
type standings struct {
	rows         []storage.Standing
	floor, moves int64
}

// joined are the rooms that the user is in, by number.
func (st *standings) joined() []storage.JoinedRoom {
	out := make([]storage.JoinedRoom, 0, len(st.rows))
	for i := range st.rows {
		if r := &st.rows[i]; r.Membership == storage.MemberJoin {
			out = append(out, storage.JoinedRoom{Room: r.Room, Pos: r.Pos})
		}
	}
	byRoom := func(a, b storage.JoinedRoom) int { return cmp.Compare(a.Room, b.Room) }
	if !slices.IsSortedFunc(out, byRoom) {
		slices.SortFunc(out, byRoom)
	}
	return out
}

// standings is how a user stands to his rooms, with what is known here of events in them: as it was read with the rooms,
// once, or read now.
func (s *Service) standings(ctx context.Context, u *hubUser) ([]storage.Standing, error) {
	h := s.hub
	h.mu.Lock()
	st := u.standings
	if u.standings = nil; st != nil && st.moves != u.moves {
		st = nil
	}
	h.mu.Unlock()
	for st == nil || !h.activate(st) {
		h.mu.Lock()
		st = &standings{floor: h.floor}
		h.mu.Unlock()
		var err error
		if st.rows, err = s.db.ListStandings(ctx, u.nid, st.floor); err != nil {
			return nil, err
		}
	}
	return st.rows, nil
}

// activate adds the events that came since the floor; false when there is another floor by now.
func (h *hub) activate(st *standings) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range st.rows {
		if row := &st.rows[i]; row.Event == 0 {
			if r := h.rooms[row.Room]; r != nil {
				row.Last = max(row.Last, r.active)
			}
		}
	}
	return h.floor == st.floor
}

// keepRoomLists stores the lists of users in many rooms that are due; all: the process ends.
func (s *Service) keepRoomLists(ctx context.Context, all bool) {
	for _, user := range s.hub.listsDue(s.now(), all) {
		if err := s.db.KeepRoomList(ctx, user); err != nil && !errors.Is(err, storage.ErrClosed) {
			s.log.Error("store a list of rooms", "error", err)
		}
	}
}

// listsDue are the users whose lists are to be stored; they count as stored.
func (h *hub) listsDue(now time.Time, all bool) (users []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.users {
		if u.slide == nil || len(u.rooms) < manyRooms || all && len(users) >= keepListsEnd {
			continue
		}
		moved := h.pos - u.kept
		if all && moved > 0 || moved > keepListAfter && now.Sub(u.keptAt) >= keepListEvery {
			users = append(users, u.nid)
			u.kept, u.keptAt = h.pos, now
		}
	}
	return users
}

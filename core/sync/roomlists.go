package sync

import (
	"context"
	"errors"
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

// standings reads how a user stands to his rooms, with what is known here of events in them.
func (s *Service) standings(ctx context.Context, user int64) ([]storage.Standing, error) {
	h := s.hub
	for {
		h.mu.Lock()
		floor := h.floor
		h.mu.Unlock()
		rows, err := s.db.ListStandings(ctx, user, floor)
		if err != nil {
			return nil, err
		}
		if h.activate(rows, floor) {
			return rows, nil
		}
	}
}

// activate adds the events that came since the floor; false when there is another floor by now.
func (h *hub) activate(rows []storage.Standing, floor int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range rows {
		if r := h.rooms[rows[i].Room]; r != nil && rows[i].Event == 0 {
			rows[i].Last = max(rows[i].Last, r.active)
		}
	}
	return h.floor == floor
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

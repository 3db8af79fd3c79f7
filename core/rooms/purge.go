package rooms

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Purge deletes a room's messages from before an event, for good and for everybody, and returns how many went. State
// events and the room's heads stay, so that the room goes on as it was; states that only purged events needed are folded
// later, in the background. It works in pieces and may be repeated.
func (s *Service) Purge(ctx context.Context, room *Room, before matrix.EventID) (int, error) {
	return s.purge(ctx, room, before, false)
}

// PurgeForeign is Purge that lets stay what users of this installation wrote: nobody else may have it.
func (s *Service) PurgeForeign(ctx context.Context, room *Room, before matrix.EventID) (int, error) {
	return s.purge(ctx, room, before, true)
}

func (s *Service) purge(ctx context.Context, room *Room, before matrix.EventID, foreign bool) (int, error) {
	e, err := s.EventByID(ctx, room, before)
	if isNotFound(err) {
		return 0, noEvent()
	}
	if err != nil {
		return 0, err
	}
	if e.Row.Pos == 0 {
		return 0, matrix.InvalidParam("A purge ends at an event of the live timeline.")
	}
	now, err := room.snapshotNow(ctx)
	if err != nil {
		return 0, err
	}
	keep := make([]int64, len(now.heads))
	for i, h := range now.heads {
		keep[i] = h.nid
	}
	n, err := s.db.PurgeMessages(ctx, room.NID(), e.Row.Pos, keep, foreign, func(nids []int64) {
		for _, nid := range nids {
			s.events.remove(nid)
		}
	})
	if err != nil {
		return n, err
	}
	c := &storage.Change{}
	c.Live(storage.Live{Kind: storage.KindRoom, Room: room.NID()})
	if err := s.foldLater(ctx, c, Folding{Room: room.NID(), Before: e.Row.Pos}, 0); err != nil {
		return n, err
	}
	return n, s.db.Commit(ctx, c)
}

package rooms

import (
	"context"
	"errors"
	"fmt"

	"rempart/internal/matrix"
	"rempart/storage"
)

// outOfBand marks a membership event that came without the room: an invitation, a knock, the refusal of one. What it
// rests on is not known, so that it is taken in again when it comes with the room.
const outOfBand = storage.FlagOutlier | storage.FlagNoState

// pieceSize is how many outliers one Change takes in.
// Why so few: bulk work must not keep other writers waiting for more than some 50 ms.
const pieceSize = 128

// keepOutliers takes in events without a place in the graph, in pieces that nothing refers to yet. Those whose auth events are
// not known are left out and noted in left, which may be nil. known are those that the room had a moment ago.
func (s *Service) keepOutliers(ctx context.Context, r *Room, events []*matrix.Event, known map[matrix.EventID]storage.KnownEvent,
	left map[matrix.EventID]bool) error {
	events = inOrder(events)
	for len(events) > 0 {
		n := 1
		for n < len(events) && n < pieceSize {
			if _, twice := known[events[n].ID]; twice {
				break // Why: a Change makes room for one event that was here before
			}
			n++
		}
		if err := s.keepPiece(ctx, r, events[:n], known, left); err != nil {
			return fmt.Errorf("store %d events of room %s: %w", n, r.id, err)
		}
		events = events[n:]
	}
	return nil
}

// keepPiece takes in some outliers as one Change. known are those that the room had a moment ago.
func (s *Service) keepPiece(ctx context.Context, r *Room, events []*matrix.Event, known map[matrix.EventID]storage.KnownEvent,
	left map[matrix.EventID]bool) error {
	need, built := needsOf(events), false
	return s.retried(ctx, r, need, func(ctx context.Context, b *builder) error {
		if !built { // Why not again: what was refused at commit may have come in by another way meanwhile
			b.fresh = freshOf(events, known)
		}
		for _, e := range events {
			var missing ErrMissing
			var o Outcome
			err := b.receive(ctx, e, Arrival{Outliers: true}, &o)
			if err != nil && !errors.As(err, &missing) {
				return err
			}
			if err != nil && left != nil {
				left[e.ID] = true
			}
		}
		built = true
		return nil
	})
}

// freshOf are those events that are not known.
func freshOf(events []*matrix.Event, known map[matrix.EventID]storage.KnownEvent) map[matrix.EventID]bool {
	fresh := make(map[matrix.EventID]bool, len(events))
	for _, e := range events {
		if _, ok := known[e.ID]; !ok {
			fresh[e.ID] = true
		}
	}
	return fresh
}

// needsOf are the numbers that some events take.
func needsOf(events []*matrix.Event) *needs {
	need := &needs{events: int64(len(events))}
	for _, e := range events {
		need.users = append(need.users, e.Sender)
		if e.IsState() {
			need.tuples = append(need.tuples, e.Tuple())
			if e.Type == "m.room.member" {
				need.users = append(need.users, matrix.UserID(*e.StateKey))
			}
		}
	}
	return need
}

// retried builds and commits until the room holds still.
func (s *Service) retried(ctx context.Context, r *Room, need *needs, build func(context.Context, *builder) error) error {
	for rebuilds := 0; ; {
		if err := need.satisfy(ctx, s); err != nil {
			return err
		}
		c, err := s.enqueue(ctx, r, need, build)
		switch {
		case errors.Is(err, errNeeds):
			continue
		case err != nil || c == nil:
			return err
		}
		if err = c.finish(ctx); err == nil {
			return nil
		}
		rebuilds++
		if rebuilds > maxRebuilds || !errors.Is(err, storage.ErrStale) && !s.db.IsDuplicate(err) {
			return err
		}
	}
}

// placeAnew makes an event with the whole state before it the only head of a room that this installation enters. All that
// it knew of the room's present before is out of date.
func (s *Service) placeAnew(ctx context.Context, r *Room, e *matrix.Event, state []matrix.EventID) (Outcome, error) {
	var o Outcome
	err := s.retried(ctx, r, needsOf([]*matrix.Event{e}), func(ctx context.Context, b *builder) error {
		o = Outcome{ID: e.ID}
		next := *b.snap
		next.heads = nil
		b.snap, b.resolvedOf = &next, nil
		return b.receive(ctx, e, Arrival{State: state}, &o)
	})
	if err == nil && o.Refused != nil {
		err = o.Refused
	}
	return o, err
}

// openRoom finds a room, or adds the row of one that is not known yet.
func (s *Service) openRoom(ctx context.Context, id matrix.RoomID, v *matrix.RoomVersion) (*Room, error) {
	r, err := s.Room(ctx, id)
	if err == nil && r.version != v {
		r, err = nil, s.forgetHearsay(ctx, r, v)
		if err == nil {
			r, err = s.Room(ctx, id)
		}
	}
	if err == nil || !matrix.HasCode(err, matrix.CodeNotFound) {
		return r, err
	}
	nid, err := s.db.NewID(ctx, storage.RoomNIDs)
	if err != nil {
		return nil, err
	}
	row := &storage.RoomRow{NID: nid, RoomID: id, RoomVersion: v.ID, Created: s.nowMS()}
	c := &storage.Change{Rooms: []storage.RoomWrite{{Room: nid, NewRoom: row}}}
	c.Add(row)
	if err := s.db.Commit(ctx, c); err != nil && !s.db.IsDuplicate(err) {
		return nil, fmt.Errorf("add room %s: %w", id, err)
	}
	return s.Room(ctx, id)
}

// forgetHearsay forgets a room that was said to be of another version than now, of which nothing is here but what somebody said, and in
// which nobody of ours is or waits to be. Why: else one word of a stranger about a room that is not known here would keep all of ours out of it.
func (s *Service) forgetHearsay(ctx context.Context, r *Room, v *matrix.RoomVersion) error {
	n, err := r.snapshotNow(ctx)
	if err != nil {
		return err
	}
	known := len(n.heads) > 0
	for _, m := range []storage.Membership{storage.MemberJoin, storage.MemberInvite, storage.MemberKnock} {
		list, err := s.db.ListLocalMembers(ctx, r.nid, m)
		if err != nil {
			return err
		}
		known = known || len(list) > 0
	}
	if known {
		return matrix.IncompatibleRoomVersion(v.ID)
	}
	return s.Remove(ctx, r.nid, r.id, func() error { return nil })
}

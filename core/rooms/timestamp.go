package rooms

import (
	"context"
	"slices"

	"rempart/internal/matrix"
)

// nearby is how many events on either side of a place are looked at for the one closest to a time.
const nearby = 200

// EventNear finds the event closest to a time, at or after it, or at or before it when backward.
// Spec: client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event
func (s *Service) EventNear(ctx context.Context, room *Room, user matrix.UserID, ts int64, backward bool) (*Stored, error) {
	v, err := s.viewerFor(ctx, room, user)
	if err != nil {
		return nil, err
	}
	if err := s.mayRead(ctx, v); err != nil {
		return nil, err
	}
	pos, err := s.db.FindPositionByTime(ctx, room.NID(), ts)
	if err != nil {
		return nil, err
	}
	before, err := s.db.ListLiveBefore(ctx, room.NID(), pos, nearby)
	if err != nil {
		return nil, err
	}
	after, err := s.db.ListLiveAfter(ctx, room.NID(), pos, s.db.Position(), nearby)
	if err != nil {
		return nil, err
	}
	slices.Reverse(before)
	events, err := s.Events(ctx, append(before, after...))
	if err != nil {
		return nil, err
	}
	if events, err = v.filter(ctx, events); err != nil {
		return nil, err
	}
	if e := closest(events, ts, backward); e != nil {
		return e, nil
	}
	return nil, matrix.NotFound("There is no event at that time or beyond.")
}

// closest picks among events in their order; of those with the same time the first one met in the direction.
func closest(events []*Stored, ts int64, backward bool) *Stored {
	var best *Stored
	for _, e := range events {
		t := e.OriginServerTS
		if backward && t <= ts && (best == nil || t >= best.OriginServerTS) || !backward && t >= ts && (best == nil || t < best.OriginServerTS) {
			best = e
		}
	}
	return best
}

package rooms

import (
	"context"
	"slices"
	"time"

	"rempart/internal/matrix"
)

// nearby is how many events on either side of a place are looked at for the one closest to a time.
const nearby = 200

// Bounds of asking others for the event of a time.
const (
	nearTime    = 15 * time.Second
	nearServers = 3
)

// EventNear finds the event closest to a time, at or after it, or at or before it when backward. Where the room's history is not
// whole here, other servers in the room are asked as well, and what they name is fetched.
// Spec: client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event
func (s *Service) EventNear(ctx context.Context, room *Room, user matrix.UserID, ts int64, backward bool) (*Stored, error) {
	v, err := s.viewerFor(ctx, room, user)
	if err != nil {
		return nil, err
	}
	if err := s.mayRead(ctx, v); err != nil {
		return nil, err
	}
	all, err := s.around(ctx, room, ts)
	if err != nil {
		return nil, err
	}
	whole, err := s.wholeAround(ctx, room, all, ts, backward)
	if err != nil {
		return nil, err
	}
	seen, err := v.filter(ctx, slices.Clone(all))
	if err != nil {
		return nil, err
	}
	best := closest(seen, ts, backward)
	if !whole {
		if e := s.nearElsewhere(ctx, room, ts, backward, best); e != nil {
			if shown, err := v.filter(ctx, []*Stored{e}); err == nil && len(shown) == 1 {
				return shown[0], nil
			}
		}
	}
	if best != nil {
		return best, nil
	}
	return nil, matrix.NotFound("There is no event at that time or beyond.")
}

// around lists events of a room about a time, in their order.
func (s *Service) around(ctx context.Context, room *Room, ts int64) ([]*Stored, error) {
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
	live := append(before, after...)
	if len(before) == nearby { // the time is not near the beginning of the stream
		return s.Events(ctx, live)
	}
	depth, err := s.db.FindDepthByTime(ctx, room.NID(), ts)
	if err != nil {
		return nil, err
	}
	older, err := s.db.ListHistoryBefore(ctx, room.NID(), depth, maxInt, nearby)
	if err != nil {
		return nil, err
	}
	newer, err := s.db.ListHistoryAfter(ctx, room.NID(), depth, maxInt, nearby)
	if err != nil {
		return nil, err
	}
	slices.Reverse(older)
	return s.Events(ctx, slices.Concat(older, newer, live))
}

const maxInt = 1<<63 - 1

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

// wholeAround reports whether nothing is missing here between a time and the event closest to it.
func (s *Service) wholeAround(ctx context.Context, room *Room, events []*Stored, ts int64, backward bool) (bool, error) {
	if s.opts.Peers == nil {
		return true, nil
	}
	best := closest(events, ts, backward)
	at := slices.Index(events, best) // the event before which something would be missing
	if backward {
		at++ // -1, that there is none, becomes the first
	}
	if at < 0 || at >= len(events) {
		return true, nil
	}
	missing, err := s.unplaced(ctx, room, events[at].PrevEvents)
	return len(missing) == 0, err
}

// nearElsewhere asks servers in a room for the event of a time, and fetches it; nil when none has a closer one.
// Spec: server-server-api/#get_matrixfederationv1timestamp_to_eventroomid
func (s *Service) nearElsewhere(ctx context.Context, room *Room, ts int64, backward bool, best *Stored) *Stored {
	ctx, cancel := context.WithTimeout(ctx, nearTime)
	defer cancel()
	from, err := s.asker(ctx, room)
	if err != nil {
		return nil
	}
	for _, to := range s.serversIn(ctx, room, nearServers) {
		id, at, err := s.opts.Peers.EventNear(ctx, from, to, room.id, ts, backward)
		if err != nil {
			s.log.Info("another server does not know the event of a time", "room", room.id, "server", to, "error", err)
			continue
		}
		if best != nil && distance(at, ts) >= distance(best.OriginServerTS, ts) {
			continue
		}
		if e, err := s.fetchOne(ctx, room, from, to, id); err != nil {
			s.log.Info("an event could not be fetched", "room", room.id, "server", to, "event", id, "error", err)
		} else if t := e.OriginServerTS; backward && t <= ts || !backward && t >= ts {
			return e
		}
	}
	return nil
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// fetchOne fetches an event of a room's past, with the state before it.
func (s *Service) fetchOne(ctx context.Context, room *Room, from, to matrix.ServerName, id matrix.EventID) (*Stored, error) {
	unlock, err := s.fetching.lock(ctx, room.id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	missing, err := s.unplaced(ctx, room, []matrix.EventID{id})
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		if err := s.fetchParents(ctx, room, from, missing, Arrival{From: to}); err != nil {
			return nil, err
		}
	}
	e, err := s.findEvent(ctx, room, id)
	if err == nil && e == nil {
		err = errNothingFetched
	}
	return e, err
}

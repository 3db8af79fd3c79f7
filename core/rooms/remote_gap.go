package rooms

import (
	"context"
	"slices"

	"rempart/internal/matrix"
)

// Bounds of asking for what lies between what is known and an event that came.
const (
	gapLimit  = 20 // events of one answer: more than that is given by hardly anybody
	gapRounds = 5
	gapEnds   = 10 // events that one question is about
)

// between asks a server for the events between what is known and an event, the nearest to it first; the oldest of one answer is where the
// next question begins, as long as answers are full.
func (s *Service) between(ctx context.Context, r *Room, from, to matrix.ServerName, e *matrix.Event) ([]*matrix.Event, error) {
	heads := s.headsOf(ctx, r)
	earliest := make([]matrix.EventID, len(heads))
	for i, h := range heads {
		earliest[i] = h.id
	}
	var out []*matrix.Event
	seen, latest := map[matrix.EventID]bool{e.ID: true}, []matrix.EventID{e.ID}
	for range gapRounds {
		raws, err := s.opts.Peers.MissingEvents(ctx, from, to, r.id, earliest, latest, gapLimit)
		if err != nil && len(out) == 0 {
			return nil, err
		}
		fresh := parse(r.version, r.id, raws[:min(len(raws), gapLimit)])
		fresh = slices.DeleteFunc(fresh, func(o *matrix.Event) bool { return seen[o.ID] })
		if len(raws) > 0 && out == nil {
			out = []*matrix.Event{} // which says that there was an answer
		}
		if err != nil || len(fresh) == 0 {
			return out, nil //nolint:nilerr // Why: what came before is of use
		}
		for _, o := range fresh {
			seen[o.ID] = true
		}
		out = append(out, fresh...)
		if len(raws) < gapLimit {
			return out, nil
		}
		if latest, err = s.ends(ctx, r, fresh, seen); err != nil || len(latest) == 0 {
			return out, err
		}
	}
	return out, nil
}

// ends are those of some events before which others are missing, here and among what was seen.
func (s *Service) ends(ctx context.Context, r *Room, events []*matrix.Event, seen map[matrix.EventID]bool) ([]matrix.EventID, error) {
	var out []matrix.EventID
	for _, e := range events {
		before := slices.DeleteFunc(slices.Clone(e.PrevEvents), func(id matrix.EventID) bool { return seen[id] })
		missing, err := s.unplaced(ctx, r, before)
		if err != nil {
			return nil, err
		}
		if len(missing) > 0 && len(out) < gapEnds {
			out = append(out, e.ID)
		}
	}
	return out, nil
}

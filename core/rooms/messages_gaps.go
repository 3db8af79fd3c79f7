package rooms

import (
	"context"
	"slices"
	"sync"
	"time"

	"rempart/internal/matrix"
)

// Bounds of filling gaps while pages are read.
const (
	gapFills    = 3               // gaps that one page fills
	hopelessFor = 5 * time.Minute // so long a gap that nobody could fill is left alone
	maxHopeless = 10_000
)

// hopeless are events that nobody had when they were asked for.
type hopeless struct {
	mu    sync.Mutex
	until map[matrix.EventID]time.Time
}

// without are those ids for which there is hope.
func (h *hopeless) without(ids []matrix.EventID, now time.Time) []matrix.EventID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(ids, func(id matrix.EventID) bool { return now.Before(h.until[id]) })
}

func (h *hopeless) add(ids []matrix.EventID, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until == nil || len(h.until) > maxHopeless {
		h.until = map[matrix.EventID]time.Time{}
	}
	for _, id := range ids {
		h.until[id] = until
	}
}

// forget gives all of them another chance.
func (h *hopeless) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.until)
}

// gap is a place before which events are missing here.
type gap struct {
	at    int // the event in the batch that names them
	edges []matrix.EventID
}

// gaps finds the events of a batch before which others are missing here. Of those of the stream all count as one.
func (s *Service) gaps(ctx context.Context, room *Room, batch []*Stored) (stream, history gap, err error) {
	here := map[matrix.EventID]bool{}
	for _, e := range batch {
		here[e.ID] = true
	}
	for i, e := range batch {
		into := &history
		if e.Row.Pos > 0 {
			into = &stream
		} else if history.edges != nil {
			continue
		}
		prev := slices.DeleteFunc(slices.Clone(e.PrevEvents), func(id matrix.EventID) bool { return here[id] })
		missing, err := s.unplaced(ctx, room, prev)
		if err != nil {
			return stream, history, err
		}
		if missing = s.hopeless.without(missing, s.opts.Clock()); len(missing) > 0 && len(into.edges) < backfillEdges {
			into.at = i
			into.edges = append(into.edges, missing[:min(len(missing), backfillEdges-len(into.edges))]...)
		}
	}
	return stream, history, nil
}

// fillBehind is called after a batch was read backwards: where the walk came upon a gap in history it is filled, the walk goes back to
// it, and what is left of the batch is returned. What was missing in the stream stands in history, where the walk comes to it.
func (c *cursor) fillBehind(ctx context.Context, batch []*Stored) ([]*Stored, error) {
	stream, history, err := c.s.gaps(ctx, c.room, batch)
	if err != nil {
		return batch, err
	}
	if len(stream.edges) > 0 {
		c.fills++
		c.s.backfillAt(ctx, c.room, stream.edges)
	}
	if len(history.edges) == 0 {
		return batch, nil
	}
	c.fills++
	if !c.s.backfillAt(ctx, c.room, history.edges) {
		return batch, nil
	}
	c.done, c.ended = false, false
	c.step(batch[history.at])
	return batch[:history.at+1], nil
}

// fillBefore is called after a batch was read forwards from a place: where it jumped over a gap this is filled, and the walk goes on
// before it.
func (c *cursor) fillBefore(ctx context.Context, batch []*Stored, was matrix.PageToken) ([]*Stored, error) {
	stream, g, err := c.s.gaps(ctx, c.room, batch)
	border := !was.Live && len(batch) > 0 && batch[0].Row.Pos > 0
	if border {
		g = stream
	}
	if err != nil || len(g.edges) == 0 {
		return batch, err
	}
	c.fills++
	if !c.s.backfillAt(ctx, c.room, g.edges) {
		return batch, nil
	}
	c.done, c.ended = false, false
	if c.at = was; g.at > 0 && !border {
		c.step(batch[g.at-1])
		return batch[:g.at], nil
	}
	return nil, nil
}

// fill fills the gaps that the walk meets, within bounds. place is where the walk stood before it read the batch.
func (c *cursor) fill(ctx context.Context, batch []*Stored, place matrix.PageToken) ([]*Stored, error) {
	switch {
	case c.s.opts.Peers == nil || c.fills >= gapFills:
		return batch, nil
	case c.backward:
		return c.fillBehind(ctx, batch)
	case place.Live, place == matrix.HistoryPage(0, 0): // Why: who starts at the beginning is shown what is known of it
		return batch, nil
	}
	return c.fillBefore(ctx, batch, place)
}

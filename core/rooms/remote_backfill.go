package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of fetching history.
const (
	backfillTime    = 15 * time.Second
	backfillPage    = 100
	backfillServers = 3 // servers that are asked
	backfillStates  = 3 // states that are fetched for one page
	backfillEdges   = 10
)

// backfill fetches history from before what is known of a room, and tells whether any came.
// Spec: server-server-api/#backfilling-and-retrieving-missing-events
func (s *Service) backfill(ctx context.Context, r *Room) bool {
	if s.opts.Peers == nil {
		return false
	}
	edges, err := s.edges(ctx, r)
	return err == nil && len(edges) > 0 && s.backfillAt(ctx, r, edges)
}

// backfillAt fetches some events and history from before them, and tells whether any came.
func (s *Service) backfillAt(ctx context.Context, r *Room, edges []matrix.EventID) bool {
	ctx, cancel := context.WithTimeout(ctx, backfillTime)
	defer cancel()
	unlock, err := s.fetching.lock(ctx, r.id)
	if err != nil {
		return false
	}
	defer unlock()
	from, err := s.asker(ctx, r)
	if err != nil {
		return false
	}
	if left, err := s.unplaced(ctx, r, edges); err == nil && len(left) == 0 {
		return true // somebody else has fetched them meanwhile
	}
	for _, to := range s.serversIn(ctx, r, backfillServers) {
		n, err := s.backfillFrom(ctx, r, from, to, edges)
		if err != nil {
			s.log.Info("history could not be fetched", "room", r.id, "server", to, "error", err)
		}
		if n > 0 {
			return true
		}
	}
	if ctx.Err() == nil {
		s.hopeless.add(edges, s.opts.Clock().Add(hopelessFor))
	}
	return false
}

// edges are the events behind the oldest that are known, those left out that nobody had.
func (s *Service) edges(ctx context.Context, r *Room) ([]matrix.EventID, error) {
	out, err := s.behindOldest(ctx, r)
	out = s.hopeless.without(out, s.opts.Clock())
	return out[:min(len(out), backfillEdges)], err
}

// behindOldest are the events behind the oldest that are known: those that these name and that are not here.
func (s *Service) behindOldest(ctx context.Context, r *Room) ([]matrix.EventID, error) {
	oldest, err := s.db.ListHistoryAfter(ctx, r.nid, 0, 0, backfillEdges)
	if err != nil {
		return nil, err
	}
	if len(oldest) == 0 {
		if oldest, err = s.db.ListLiveAfter(ctx, r.nid, 0, s.db.Position(), backfillEdges); err != nil {
			return nil, err
		}
	}
	events, err := s.Events(ctx, oldest)
	if err != nil {
		return nil, err
	}
	var out []matrix.EventID
	for _, e := range events {
		missing, err := s.unplaced(ctx, r, e.PrevEvents)
		if err != nil {
			return nil, err
		}
		if out = append(out, missing...); len(out) >= backfillEdges {
			break
		}
	}
	return out, nil
}

// backfillFrom asks one server and takes in what it gives, the oldest first. It tells how many events are new.
func (s *Service) backfillFrom(ctx context.Context, r *Room, from, to matrix.ServerName, edges []matrix.EventID) (int, error) {
	raws, err := s.pageBefore(ctx, r, from, to, edges)
	if err != nil {
		return 0, err
	}
	events, err := s.withoutPlace(ctx, r, parse(r.version, r.id, raws[:min(len(raws), backfillPage)]))
	if err != nil {
		return 0, err
	}
	oldest, err := s.Oldest(ctx, r)
	if err != nil {
		return 0, err
	}
	// Why state too: what comes before the messages that are kept is of no use, and would be asked for again after each purge.
	events = slices.DeleteFunc(events, func(e *matrix.Event) bool { return e.OriginServerTS < oldest })
	a := Arrival{From: to, Backfill: true}
	n, states := 0, 0
	events, _ = s.verified(ctx, events)
	for _, e := range inOrder(events) {
		placed, asked, err := s.placeHistory(ctx, r, from, e, a, states < backfillStates)
		if err != nil {
			return n, err
		}
		if placed {
			n++
		}
		if asked {
			states++
		}
	}
	return n, nil
}

// pageBefore asks a server for some events and history from before them. Who does not understand the question is asked for the events one by
// one, and for what who knows them would miss. Why: Dendrite refuses it for rooms whose id names no server, those of version 12.
func (s *Service) pageBefore(ctx context.Context, r *Room, from, to matrix.ServerName, edges []matrix.EventID) ([]json.RawMessage, error) {
	raws, refusal := s.opts.Peers.Backfill(ctx, from, to, r.id, edges, backfillPage)
	if refusal == nil || !notUnderstood(refusal) {
		return raws, refusal
	}
	for _, id := range edges {
		raw, err := s.opts.Peers.Event(ctx, from, to, id)
		if err != nil {
			return nil, errors.Join(refusal, err)
		}
		raws = append(raws, raw)
	}
	before, err := s.opts.Peers.MissingEvents(ctx, from, to, r.id, []matrix.EventID{}, edges, backfillPage-len(edges))
	if err != nil {
		s.log.Info("what comes before events of history is not told", "room", r.id, "server", to, "error", err)
	}
	return append(raws, before...), nil
}

// notUnderstood reports whether another server found a question wrong, or does not know it, other than not admitting it.
func notUnderstood(err error) bool {
	var e *matrix.Error
	return errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusNotFound)
}

// withoutPlace are those events that are not in the graph yet.
func (s *Service) withoutPlace(ctx context.Context, r *Room, events []*matrix.Event) ([]*matrix.Event, error) {
	out := make([]*matrix.Event, 0, len(events))
	for _, e := range events {
		known, err := s.placedEvent(ctx, r, e.ID)
		if err != nil {
			return nil, err
		}
		if known == nil || known.Has(storage.FlagOutlier) {
			out = append(out, e)
		}
	}
	return out, nil
}

// placeHistory takes in one event of the past. Where its parents are not known, the state before it is asked for.
func (s *Service) placeHistory(ctx context.Context, r *Room, from matrix.ServerName, e *matrix.Event, a Arrival, ask bool) (placed, asked bool, err error) {
	o, err := s.receiveOne(ctx, r, e, a)
	if err != nil || o.Err == nil {
		return err == nil, false, err
	}
	missing, err := s.unplaced(ctx, r, e.PrevEvents)
	if err != nil {
		return false, false, err
	}
	if len(missing) == 0 {
		if err := s.fetchAuth(ctx, r, from, e, a); err != nil {
			return false, true, nil //nolint:nilerr // what the peer does not give is left out
		}
		o, err = s.receiveOne(ctx, r, e, a)
		return err == nil && o.Err == nil, true, err
	}
	if !ask {
		return false, false, nil
	}
	state, auth, err := s.opts.Peers.StateIDs(ctx, from, a.From, r.id, e.ID)
	if err == nil {
		err = s.placeWithState(ctx, r, from, e, state, auth, a)
	}
	if err != nil && ctx.Err() != nil {
		return false, true, ctx.Err()
	}
	return err == nil, true, nil
}

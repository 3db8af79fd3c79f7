package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"rempart/internal/matrix"
)

// Bounds of fetching what an event refers to.
const (
	fetchTime    = 20 * time.Second
	gapLimit     = 20 // events between what we know and what came
	maxFetchEach = 50 // state events that are asked for one by one; more are asked for as a whole
	fetchRounds  = 3
)

// receiveFetching takes events into a room and fetches from their sender what they refer to, within bounds. No lock is
// held while others are asked.
// Spec: server-server-api/#retrieving-events
func (s *Service) receiveFetching(ctx context.Context, r *Room, events []*matrix.Event, a Arrival) ([]Outcome, error) {
	out, err := s.Receive(ctx, r.id, events, a)
	if err != nil || s.opts.Peers == nil || a.From == "" {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	byID := map[matrix.EventID]*matrix.Event{}
	for _, e := range events {
		byID[e.ID] = e
	}
	for i := range out {
		for round := 0; round < fetchRounds; round++ {
			var missing ErrMissing
			if !errors.As(out[i].Err, &missing) || ctx.Err() != nil {
				break
			}
			e := byID[out[i].ID]
			if err := s.fetchFor(ctx, r, e, missing, a); err != nil {
				s.log.Info("what an event refers to could not be fetched", "room", r.id, "event", e.ID, "server", a.From, "error", err)
				break
			}
			again, err := s.Receive(ctx, r.id, []*matrix.Event{e}, a)
			if err != nil {
				return out, err
			}
			out[i] = again[0]
		}
		var missing ErrMissing
		if errors.As(out[i].Err, &missing) && ctx.Err() == nil && len(missing.Auth) == 0 {
			if o, err := s.receiveWithState(ctx, r, byID[out[i].ID], a); err == nil {
				out[i] = o
			} else {
				s.log.Info("the state before an event could not be fetched", "room", r.id, "event", out[i].ID, "server", a.From, "error", err)
			}
		}
	}
	return out, nil
}

// fetchFor fetches what one event refers to: its auth chain, and the events between the room's heads and it.
func (s *Service) fetchFor(ctx context.Context, r *Room, e *matrix.Event, missing ErrMissing, a Arrival) error {
	from, err := s.asker(ctx, r)
	if err != nil {
		return err
	}
	if len(missing.Auth) > 0 {
		raws, err := s.opts.Peers.EventAuth(ctx, from, a.From, r.id, e.ID)
		if err != nil {
			return err
		}
		if err := s.keepChecked(ctx, r, parse(r.version, r.id, raws)); err != nil {
			return err
		}
	}
	if len(missing.Prev) == 0 {
		return nil
	}
	return s.fillGap(ctx, r, from, e, a)
}

// fillGap asks for the events between what is known and an event, and takes in those whose parents are known by then.
func (s *Service) fillGap(ctx context.Context, r *Room, from matrix.ServerName, e *matrix.Event, a Arrival) error {
	heads := s.headsOf(ctx, r)
	earliest := make([]matrix.EventID, len(heads))
	for i, h := range heads {
		earliest[i] = h.id
	}
	raws, err := s.opts.Peers.MissingEvents(ctx, from, a.From, r.id, earliest, []matrix.EventID{e.ID}, gapLimit)
	if err != nil {
		return err
	}
	events := parse(r.version, r.id, raws)
	events = slices.DeleteFunc(events, func(o *matrix.Event) bool { return o.ID == e.ID })
	if events, err = s.unknown(ctx, r, events); err != nil {
		return err
	}
	events = inOrder(s.verified(ctx, events))
	if len(events) == 0 {
		return errNothingFetched
	}
	b := Arrival{From: a.From, Backfill: a.Backfill}
	out, err := s.Receive(ctx, r.id, events, b)
	if err != nil {
		return err
	}
	for i, o := range out {
		var missing ErrMissing
		if !errors.As(o.Err, &missing) {
			continue
		}
		if len(missing.Auth) > 0 {
			auth, err := s.opts.Peers.EventAuth(ctx, from, a.From, r.id, o.ID)
			if err != nil {
				return err
			}
			if err := s.keepChecked(ctx, r, parse(r.version, r.id, auth)); err != nil {
				return err
			}
		}
		if _, err := s.receiveOrWithState(ctx, r, events[i], b); err != nil {
			return err
		}
	}
	return nil
}

var errNothingFetched = errors.New("the other server has nothing to fill the gap")

// receiveOrWithState takes in an event, with the state before it where its parents are not known.
func (s *Service) receiveOrWithState(ctx context.Context, r *Room, e *matrix.Event, a Arrival) (Outcome, error) {
	out, err := s.Receive(ctx, r.id, []*matrix.Event{e}, a)
	if err != nil {
		return Outcome{}, err
	}
	var missing ErrMissing
	if !errors.As(out[0].Err, &missing) {
		return out[0], out[0].Err
	}
	return s.receiveWithState(ctx, r, e, a)
}

// receiveWithState takes in an event with the state before it as the other server tells it.
// Spec: server-server-api/#get_matrixfederationv1state_idsroomid
func (s *Service) receiveWithState(ctx context.Context, r *Room, e *matrix.Event, a Arrival) (Outcome, error) {
	from, err := s.asker(ctx, r)
	if err != nil {
		return Outcome{}, err
	}
	state, auth, err := s.opts.Peers.StateIDs(ctx, from, a.From, r.id, e.ID)
	if err != nil {
		return Outcome{}, err
	}
	missing, err := s.missingOf(ctx, r, append(slices.Clone(auth), state...))
	if err != nil {
		return Outcome{}, err
	}
	if err := s.fetchState(ctx, r, from, e, missing, a); err != nil {
		return Outcome{}, err
	}
	gone, err := s.missingOf(ctx, r, state)
	if err != nil {
		return Outcome{}, err
	}
	a.State = slices.DeleteFunc(state, func(id matrix.EventID) bool { return slices.Contains(gone, id) })
	if len(a.State) == 0 {
		return Outcome{}, errNothingFetched
	}
	out, err := s.Receive(ctx, r.id, []*matrix.Event{e}, a)
	if err != nil {
		return Outcome{}, err
	}
	return out[0], out[0].Err
}

// fetchState fetches state and auth events that are not known: a few one by one, more as a whole.
func (s *Service) fetchState(ctx context.Context, r *Room, from matrix.ServerName, e *matrix.Event, missing []matrix.EventID, a Arrival) error {
	var raws []json.RawMessage
	if len(missing) > maxFetchEach {
		state, auth, err := s.opts.Peers.State(ctx, from, a.From, r.id, e.ID)
		if err != nil {
			return err
		}
		raws = append(auth, state...)
	} else {
		for _, id := range missing {
			raw, err := s.opts.Peers.Event(ctx, from, a.From, id)
			if err != nil && ctx.Err() != nil {
				return err
			}
			if err == nil {
				raws = append(raws, raw)
			}
		}
	}
	return s.keepChecked(ctx, r, parse(r.version, r.id, raws))
}

// missingOf are those events that are not known here.
func (s *Service) missingOf(ctx context.Context, r *Room, ids []matrix.EventID) ([]matrix.EventID, error) {
	var out []matrix.EventID
	for _, id := range ids {
		known, err := s.findEvent(ctx, r, id)
		if err != nil {
			return nil, err
		}
		if known == nil || known.Has(outOfBand) {
			out = append(out, id)
		}
	}
	return out, nil
}

// asker is the server in whose name others are asked about a room: that of a member.
func (s *Service) asker(ctx context.Context, r *Room) (matrix.ServerName, error) {
	users, err := s.db.ListLocalMembers(ctx, r.nid, 1)
	if err != nil {
		return "", err
	}
	if len(users) == 0 {
		return "", matrix.Forbidden("This server is not in the room.")
	}
	return users[0].Server(), nil
}

package rooms

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of fetching what an event refers to.
const (
	fetchTime    = 20 * time.Second
	maxFetchEach = 50 // state events that are asked for one by one; more are asked for as a whole
	fetchRounds  = 3
	maxParents   = 5 // unknown parents of one event whose state is asked for
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
	f := fetching{s: s, r: r, a: a, tried: map[matrix.EventID]error{}}
	for i := range out {
		e := byID[out[i].ID]
		for round := 0; round < fetchRounds && isMissing(out[i].Err) && ctx.Err() == nil; round++ {
			if i > 0 || round > 0 { // what came for others may have been enough
				if out[i], err = s.receiveOne(ctx, r, e, a); err != nil {
					return out, err
				}
			}
			if !isMissing(out[i].Err) {
				break
			}
			if err := f.fetch(ctx, e); err != nil {
				s.log.Info("what an event refers to could not be fetched", "room", r.id, "event", e.ID, "server", a.From, "error", err)
				if f.unchecked || unreached(err) {
					out[i].Err = errors.Join(out[i].Err, core.ErrUnreached)
				}
				break
			}
		}
		if isMissing(out[i].Err) && ctx.Err() != nil { // nobody came to ask for it
			out[i].Err = errors.Join(out[i].Err, core.ErrUnreached)
		}
	}
	return out, nil
}

// unreached reports whether an error says that a server was not reached, or failed, and not that it has nothing of use.
func unreached(err error) bool {
	return !errors.Is(err, errSpoilt) && (!errors.Is(err, errNothingFetched) || errors.Is(err, core.ErrUnreached)) && core.Unreached(err)
}

func isMissing(err error) bool {
	var missing ErrMissing
	return errors.As(err, &missing)
}

func (s *Service) receiveOne(ctx context.Context, r *Room, e *matrix.Event, a Arrival) (Outcome, error) {
	out, err := s.Receive(ctx, r.id, []*matrix.Event{e}, a)
	if err != nil {
		return Outcome{ID: e.ID, Err: err}, err
	}
	return out[0], nil
}

// fetching is the work on what one peer sent at once.
type fetching struct {
	s *Service
	r *Room
	a Arrival
	// tried are events that were asked about, with what came of it: nothing is asked for twice.
	tried map[matrix.EventID]error
	// unchecked says that something was fetched whose signatures could not be checked now.
	unchecked bool
}

// fetch fetches what one event refers to: first the events between the room's heads and it, then the state at its parents where
// the peer has nothing in between, then its auth events.
func (f *fetching) fetch(ctx context.Context, e *matrix.Event) error {
	from, err := f.s.asker(ctx, f.r)
	if err != nil {
		return err
	}
	prev, err := f.s.unplaced(ctx, f.r, e.PrevEvents)
	if err != nil {
		return err
	}
	if len(prev) == 0 {
		return f.once([]matrix.EventID{e.ID}, func() error { return f.s.fetchAuth(ctx, f.r, from, e, f.a) })
	}
	return f.once(prev, func() error {
		unchecked, err := f.s.fillGap(ctx, f.r, from, e, f.a)
		f.unchecked = f.unchecked || unchecked
		if err != nil && !errors.Is(err, errNothingFetched) {
			return err
		}
		left, err := f.s.unplaced(ctx, f.r, prev)
		if err != nil || len(left) == 0 {
			return err
		}
		return f.s.fetchParents(ctx, f.r, from, left, f.a)
	})
}

// once asks about some events, unless all of them were asked about. Then it tells whether somebody could not be asked: what hangs on the same
// parents waits together.
func (f *fetching) once(about []matrix.EventID, ask func() error) error {
	fresh := slices.DeleteFunc(slices.Clone(about), func(id matrix.EventID) bool {
		_, asked := f.tried[id]
		return asked
	})
	if len(fresh) == 0 {
		for _, id := range about {
			if unreached(f.tried[id]) {
				return core.ErrUnreached
			}
		}
		return errNothingFetched
	}
	err := ask()
	for _, id := range fresh {
		f.tried[id] = err
	}
	return err
}

// fetchAuth fetches the auth chain of an event, of which is kept what the event rests on.
func (s *Service) fetchAuth(ctx context.Context, r *Room, from matrix.ServerName, e *matrix.Event, a Arrival) error {
	unlock, err := s.reading.lock(ctx, a.From)
	if err != nil {
		return err
	}
	defer unlock()
	k := keeping{r: r}
	if err := s.opts.Peers.EventAuth(ctx, from, a.From, r.id, e.ID, k.take); err != nil {
		return err
	}
	unchecked, err := s.keepChecked(ctx, r, restsOn(e, k.events))
	if err == nil && unchecked {
		err = errUnchecked()
	}
	return err
}

// unplaced are those events that have no place in the graph here.
func (s *Service) unplaced(ctx context.Context, r *Room, ids []matrix.EventID) ([]matrix.EventID, error) {
	var out []matrix.EventID
	for _, id := range ids {
		known, err := s.placedEvent(ctx, r, id)
		if err != nil {
			return nil, err
		}
		if known == nil || !known.Before().Known() {
			out = append(out, id)
		}
	}
	return out, nil
}

// fillGap asks for the events between what is known and an event, and takes in those whose parents are known by then. It reports whether
// some of them could not be checked now.
func (s *Service) fillGap(ctx context.Context, r *Room, from matrix.ServerName, e *matrix.Event, a Arrival) (unchecked bool, err error) {
	events, err := s.between(ctx, r, from, a.From, e)
	if err != nil {
		return false, err
	}
	if events == nil {
		return false, errNothingFetched
	}
	if len(events) == 0 {
		return false, errSpoilt
	}
	if fresh, _, err := s.unknown(ctx, r, events); err != nil || len(fresh) == 0 {
		return false, cmp.Or(err, errNothingFetched) // all of it is here without its place, as the state that came with a join is
	}
	// Why not only what is not known: between what is new may lie what came with the state of something else, and has no place yet.
	if events, err = s.withoutPlace(ctx, r, events); err != nil || len(events) == 0 {
		return false, err // all came by another way meanwhile
	}
	if events, unchecked = s.verified(ctx, events); len(events) == 0 {
		return unchecked, errSpoilt
	}
	events = inOrder(events)
	past, err := s.pastAmong(ctx, r, events)
	if err != nil {
		return unchecked, err
	}
	for _, between := range events {
		b := Arrival{From: a.From, Backfill: a.Backfill || past[between.ID]}
		if err := s.receiveBetween(ctx, r, from, between, b); err != nil {
			return unchecked || errors.Is(err, core.ErrUnreached), err
		}
	}
	return unchecked, nil
}

// pastAmong are those of some events, parents first, that lie before what is here: what came without its place, as a room's state does, and what the
// oldest events name as previous, with its ancestors. They become history. Why: as the present they would count as the end of a branch that nobody
// continued, and take from the room's state all that came after them.
func (s *Service) pastAmong(ctx context.Context, r *Room, events []*matrix.Event) (map[matrix.EventID]bool, error) {
	past := map[matrix.EventID]bool{}
	before, err := s.behindOldest(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, id := range before {
		past[id] = true
	}
	for _, e := range slices.Backward(events) {
		known, err := s.findEvent(ctx, r, e.ID)
		if err != nil {
			return nil, err
		}
		if past[e.ID] = past[e.ID] || known != nil && !known.Has(outOfBand); past[e.ID] {
			for _, id := range e.PrevEvents {
				past[id] = true
			}
		}
	}
	return past, nil
}

// receiveBetween takes in an event that was fetched, with the state at its parents where these are not known.
func (s *Service) receiveBetween(ctx context.Context, r *Room, from matrix.ServerName, e *matrix.Event, a Arrival) error {
	o, err := s.receiveOne(ctx, r, e, a)
	if err != nil || !isMissing(o.Err) {
		return err
	}
	prev, err := s.unplaced(ctx, r, e.PrevEvents)
	if err == nil && len(prev) > 0 {
		err = s.fetchParents(ctx, r, from, prev, a)
	}
	if err != nil {
		return err
	}
	if o, err = s.receiveOne(ctx, r, e, a); err != nil || !isMissing(o.Err) {
		return err
	}
	if err := s.fetchAuth(ctx, r, from, e, a); err != nil {
		return err
	}
	_, err = s.receiveOne(ctx, r, e, a)
	return err
}

// Why what came is of no use matters: a peer whose events are not proper is not asked for the state that it would have us believe.
var (
	errNothingFetched = errors.New("the other server has nothing to fill the gap")
	errSpoilt         = errors.New("what the other server has to fill the gap is not proper")
)

// errUnchecked says that what was fetched cannot be checked now.
func errUnchecked() error { return errors.Join(errNothingFetched, core.ErrUnreached) }

// fetchParents fetches events that others name as previous, each with the state before it as the sender tells it. They become
// history: what follows them moves the room.
// Spec: server-server-api/#get_matrixfederationv1state_idsroomid
func (s *Service) fetchParents(ctx context.Context, r *Room, from matrix.ServerName, ids []matrix.EventID, a Arrival) error {
	for _, id := range ids[:min(len(ids), maxParents)] {
		state, auth, err := s.opts.Peers.StateIDs(ctx, from, a.From, r.id, id)
		if err != nil {
			return err
		}
		raw, err := s.opts.Peers.Event(ctx, from, a.From, id)
		if err != nil {
			return err
		}
		events, unchecked := s.verified(ctx, parse(r.version, r.id, []json.RawMessage{raw}))
		if unchecked {
			return errUnchecked()
		}
		if len(events) != 1 || events[0].ID != id {
			return errNothingFetched
		}
		if err := s.placeWithState(ctx, r, from, events[0], state, auth, Arrival{From: a.From, Backfill: true}); err != nil {
			return err
		}
	}
	return nil
}

// placeWithState takes in an event with the state before it, of which what is not known is fetched first.
func (s *Service) placeWithState(ctx context.Context, r *Room, from matrix.ServerName, e *matrix.Event, state, auth []matrix.EventID, a Arrival) error {
	missing, err := s.missingOf(ctx, r, append(slices.Clone(auth), state...))
	if err != nil {
		return err
	}
	if err := s.fetchState(ctx, r, from, e, missing, a); err != nil {
		return err
	}
	if missing, err = s.missingOf(ctx, r, state); err != nil {
		return err
	}
	gone := make(map[matrix.EventID]bool, len(missing))
	for _, id := range missing {
		gone[id] = true
	}
	a.State = slices.DeleteFunc(slices.Clone(state), func(id matrix.EventID) bool { return gone[id] })
	if len(a.State) == 0 {
		return errNothingFetched
	}
	o, err := s.receiveOne(ctx, r, e, a)
	if err == nil && isMissing(o.Err) {
		if err = s.fetchAuth(ctx, r, from, e, a); err == nil {
			o, err = s.receiveOne(ctx, r, e, a)
		}
	}
	if err == nil {
		err = o.Err
	}
	return err
}

// fetchState fetches state and auth events that are not known: a few one by one, more as a whole. Those that cannot be checked are left out, also
// where that is for now. Why: a server that is gone for good would keep everybody else's events out.
func (s *Service) fetchState(ctx context.Context, r *Room, from matrix.ServerName, e *matrix.Event, missing []matrix.EventID, a Arrival) error {
	k := keeping{r: r, only: make(map[matrix.EventID]bool, len(missing))}
	for _, id := range missing {
		k.only[id] = true
	}
	if len(missing) > maxFetchEach {
		unlock, err := s.reading.lock(ctx, a.From)
		if err != nil {
			return err
		}
		defer unlock()
		if err := s.opts.Peers.State(ctx, from, a.From, r.id, e.ID, k.take); err != nil {
			return err
		}
		_, err = s.keepChecked(ctx, r, k.events)
		return err
	}
	for _, id := range missing {
		raw, err := s.opts.Peers.Event(ctx, from, a.From, id)
		if err == nil {
			err = k.take(raw)
		}
		if unreached(err) { // Why: what it would have told would count as not being there
			return err
		}
	}
	_, err := s.keepChecked(ctx, r, k.events)
	return err
}

// asker is the server in whose name others are asked about a room: that of a member.
func (s *Service) asker(ctx context.Context, r *Room) (matrix.ServerName, error) {
	user, err := s.askingUser(ctx, r)
	return user.Server(), err
}

// askingUser is a user of ours who is in a room.
func (s *Service) askingUser(ctx context.Context, r *Room) (matrix.UserID, error) {
	users, err := s.db.ListLocalMembers(ctx, r.nid, storage.MemberJoin)
	if err != nil {
		return "", err
	}
	if len(users) == 0 {
		return "", matrix.Forbidden("This server is not in the room.")
	}
	return users[0], nil
}

package rooms

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of what is held of a room while it is taken in.
const (
	batchEvents  = 256
	batchBytes   = 256 << 10
	maxWaiting   = 16 << 20
	intakeRounds = 5 // how often what was not held is asked for
	// intakeCheckers check signatures at once. Why so many: each may wait for the keys of servers that are gone.
	intakeCheckers = 16
)

// intake takes in a room as a resident server tells it, while it is told: what is read is checked while more is read, and stored while more is
// checked. An event waits until those that it rests on are there. Of those that wait no more is held than maxWaiting; the rest is let go and asked
// for again when all else is there.
type intake struct {
	s    *Service
	join *matrix.Event
	// judge says that nothing may be stored before it is known who is in the room.
	judge bool

	r       *Room
	fresh   bool // the room was not known before
	created bool // its create event was told, and it is of the join's version
	seen    map[int64]struct{}
	state   []matrix.EventID
	in      map[matrix.ServerName]int // members that were told

	have    map[int64]struct{} // hashes of the events that are here
	waiting []*matrix.Event
	size    int                // of those
	again   int                // when so many wait they are looked at again
	dropped map[int64]struct{} // hashes of what was let go
}

// told is an event of an answer, and whether it is of the room's state.
type told struct {
	raw   json.RawMessage
	state bool
}

// checked are events whose signatures hold, and what is known of them.
type checked struct {
	events []*matrix.Event
	known  map[matrix.EventID]storage.KnownEvent
	here   []matrix.EventID // those that need not be stored
}

func (s *Service) newIntake(join *matrix.Event) *intake {
	return &intake{s: s, join: join, judge: s.bareEntry(), seen: map[int64]struct{}{}, in: map[matrix.ServerName]int{},
		have: map[int64]struct{}{}, dropped: map[int64]struct{}{}}
}

// run takes in what read hands on.
func (n *intake) run(ctx context.Context, read func(context.Context, func(bool, json.RawMessage) error) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	raws, parsed, ready := make(chan []told, 1), make(chan *checked, 1), make(chan *checked, 1)
	var parsing, checking, storing sync.WaitGroup
	parsing.Go(func() { each(ctx, cancel, raws, parsed, n.parse) })
	for range intakeCheckers {
		checking.Go(func() {
			each(ctx, cancel, parsed, ready, func(ctx context.Context, c *checked) (*checked, error) {
				c.events, _ = n.s.verified(ctx, c.events)
				return c, nil
			})
		})
	}
	storing.Go(func() {
		each(ctx, cancel, ready, nil, func(ctx context.Context, c *checked) (*checked, error) { return nil, n.take(ctx, c) })
	})
	err := n.read(ctx, read, raws)
	if err != nil {
		cancel(err)
	}
	close(raws)
	parsing.Wait()
	close(parsed)
	checking.Wait()
	close(ready)
	storing.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// each hands what comes from one channel to the next, worked on, until the first is closed. Once the context has ended all is let go.
func each[A, B any](ctx context.Context, cancel context.CancelCauseFunc, from <-chan A, to chan<- B, work func(context.Context, A) (B, error)) {
	for a := range from {
		if ctx.Err() != nil {
			continue
		}
		b, err := work(ctx, a)
		if err != nil {
			cancel(err)
		} else if to != nil {
			to <- b
		}
	}
}

// read gathers what is told into batches.
func (n *intake) read(ctx context.Context, read func(context.Context, func(bool, json.RawMessage) error) error, raws chan<- []told) error {
	var batch []told
	size := 0
	flush := func() error {
		select {
		case raws <- batch:
			batch, size = nil, 0
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := read(ctx, func(state bool, raw json.RawMessage) error {
		batch, size = append(batch, told{raw, state}), size+len(raw)
		if len(batch) < batchEvents && size < batchBytes {
			return nil
		}
		return flush()
	})
	if err == nil && len(batch) > 0 {
		err = flush()
	}
	return err
}

// parse reads events, and finds out which of them are here.
func (n *intake) parse(ctx context.Context, batch []told) (*checked, error) {
	c := &checked{events: make([]*matrix.Event, 0, len(batch))}
	for _, t := range batch {
		e, err := n.join.Version.ParseUntrusted(t.raw)
		if err != nil || e.RoomID != n.join.RoomID {
			continue
		}
		if t.state {
			n.state = append(n.state, e.ID)
			n.note(e)
		}
		hash := matrix.HashID(e.ID)
		if _, twice := n.seen[hash]; !twice {
			n.seen[hash] = struct{}{}
			c.events = append(c.events, e)
		}
	}
	if len(c.events) == 0 || n.judge {
		return c, nil
	}
	if n.r == nil {
		if err := n.open(ctx); err != nil {
			return nil, err
		}
	}
	return c, n.sift(ctx, c)
}

// sift leaves out events that are here already, which need not be checked. Spec: server-server-api/#checks-performed-on-receipt-of-a-pdu
func (n *intake) sift(ctx context.Context, c *checked) (err error) {
	if n.fresh {
		return nil
	}
	all := c.events
	if c.events, c.known, err = n.s.unknown(ctx, n.r, all); err != nil {
		return err
	}
	for _, e := range all {
		if k, ok := c.known[e.ID]; ok && k.Flags&outOfBand != outOfBand {
			c.here = append(c.here, e.ID)
		}
	}
	return nil
}

// note looks at a piece of the room's state.
func (n *intake) note(e *matrix.Event) {
	switch {
	case e.Type == "m.room.create":
		n.created = n.created || checkCreate(e.Version, []*matrix.Event{e}) == nil
	case n.judge && e.Type == "m.room.member" && e.StateKey != nil && e.Membership() == "join":
		n.in[matrix.UserID(*e.StateKey).Server()]++
	}
}

// open finds the room, or adds it.
func (n *intake) open(ctx context.Context) (err error) {
	if _, err = n.s.Room(ctx, n.join.RoomID); matrix.HasCode(err, matrix.CodeNotFound) {
		n.fresh = true
	}
	n.r, err = n.s.openRoom(ctx, n.join.RoomID, n.join.Version)
	return err
}

// take stores what can be stored, and holds the rest.
func (n *intake) take(ctx context.Context, c *checked) error {
	if n.judge {
		n.hold(c.events)
		return nil
	}
	wait, err := n.store(ctx, c)
	if err != nil {
		return err
	}
	n.hold(wait)
	if len(wait) > 0 && len(n.waiting) >= n.again {
		return n.settle(ctx)
	}
	return nil
}

// hold keeps events for later, as far as there is room.
func (n *intake) hold(events []*matrix.Event) {
	for _, e := range events {
		if size := len(e.JSON) + 512; n.size+size <= maxWaiting {
			n.size += size
			n.waiting = append(n.waiting, e)
			continue
		}
		n.dropped[matrix.HashID(e.ID)] = struct{}{}
	}
}

// settle tries again to store what waits.
func (n *intake) settle(ctx context.Context) error {
	c := &checked{events: n.waiting}
	n.waiting, n.size = nil, 0
	if err := n.sift(ctx, c); err != nil {
		return err
	}
	wait, err := n.store(ctx, c)
	n.hold(wait)
	n.again = 2*len(n.waiting) + batchEvents // so that what waits is looked at as often as it doubles
	return err
}

// store keeps those events whose auth events are here or among them, and gives back the others.
func (n *intake) store(ctx context.Context, c *checked) (wait []*matrix.Event, err error) {
	for _, id := range c.here {
		n.have[matrix.HashID(id)] = struct{}{}
	}
	if err := n.learn(ctx, c.events); err != nil {
		return nil, err
	}
	var fit []*matrix.Event
	for _, e := range inOrder(createFirst(c.events)) {
		if !n.restsOnKnown(e) {
			wait = append(wait, e)
			continue
		}
		fit = append(fit, e)
		n.have[matrix.HashID(e.ID)] = struct{}{}
	}
	left := map[matrix.EventID]bool{}
	if err := n.s.keepOutliers(ctx, n.r, fit, c.known, left); err != nil {
		return nil, err
	}
	for id := range left {
		delete(n.have, matrix.HashID(id))
	}
	return wait, nil
}

// createFirst puts the create event first, which events of room version 12 rest on without naming it.
func createFirst(events []*matrix.Event) []*matrix.Event {
	i := slices.IndexFunc(events, func(e *matrix.Event) bool { return e.Type == "m.room.create" })
	if i > 0 {
		create := events[i]
		events = slices.Insert(slices.Delete(slices.Clone(events), i, i+1), 0, create)
	}
	return events
}

func (n *intake) restsOnKnown(e *matrix.Event) bool {
	if e.Version.RoomIDIsCreateHash && e.Type != "m.room.create" {
		if _, ok := n.have[matrix.HashID(e.RoomID.CreateEventID())]; !ok {
			return false
		}
	}
	return !slices.ContainsFunc(e.AuthEvents, func(id matrix.EventID) bool {
		_, ok := n.have[matrix.HashID(id)]
		return !ok
	})
}

// learn finds out which auth events were here before, in a room that was known.
func (n *intake) learn(ctx context.Context, events []*matrix.Event) error {
	if n.fresh {
		return nil
	}
	var ask []matrix.EventID
	if n.join.Version.RoomIDIsCreateHash {
		ask = append(ask, n.join.RoomID.CreateEventID())
	}
	for _, e := range events {
		for _, id := range e.AuthEvents {
			if _, ok := n.have[matrix.HashID(id)]; !ok {
				ask = append(ask, id)
			}
		}
	}
	slices.Sort(ask)
	known, err := n.s.db.KnownEvents(ctx, n.r.nid, slices.Compact(ask))
	for id, k := range known {
		if k.Flags&outOfBand != outOfBand {
			n.have[matrix.HashID(id)] = struct{}{}
		}
	}
	return err
}

// complete stores what waited, and asks the resident server again for what was let go.
func (n *intake) complete(ctx context.Context, to matrix.ServerName) error {
	if n.judge = false; n.r == nil {
		if err := n.open(ctx); err != nil {
			return err
		}
	}
	for range intakeRounds {
		if err := n.settle(ctx); err != nil || len(n.dropped) == 0 {
			return err // Why nothing else: what still waits rests on events that nobody told
		}
		want := n.dropped
		n.dropped, n.seen = map[int64]struct{}{}, map[int64]struct{}{}
		err := n.run(ctx, func(ctx context.Context, take func(bool, json.RawMessage) error) error {
			return n.s.opts.Peers.State(ctx, n.join.Sender.Server(), to, n.r.id, n.join.ID, n.only(want, take))
		})
		if err != nil {
			return err
		}
	}
	return errTooMuch
}

// only hands on those events that are wanted.
func (n *intake) only(want map[int64]struct{}, take func(bool, json.RawMessage) error) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		e, err := n.join.Version.ParseUntrusted(raw)
		if err != nil {
			return nil //nolint:nilerr // what is no event is left out
		}
		if _, ok := want[matrix.HashID(e.ID)]; !ok {
			return nil
		}
		return take(false, raw)
	}
}

// kept are the ids of the room's state, as far as it was kept.
func (n *intake) kept() []matrix.EventID {
	return slices.DeleteFunc(n.state, func(id matrix.EventID) bool {
		_, ok := n.have[matrix.HashID(id)]
		return !ok
	})
}

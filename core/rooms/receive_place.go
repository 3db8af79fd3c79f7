package rooms

import (
	"cmp"
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// receive places one event from elsewhere.
func (b *builder) receive(ctx context.Context, ev *matrix.Event, a Arrival, o *Outcome) error {
	if b.newRoom != nil {
		b.change.Add(b.newRoom)
	}
	b.relay = a.Relay
	e := &Stored{Event: ev}
	find := b.findPlaced
	if a.Outliers {
		find = b.find // its place is not asked for, and there may be tens of thousands
	}
	known, err := find(ctx, ev.ID)
	if err != nil {
		return err
	}
	if known != nil && (a.Outliers || !known.Has(storage.FlagOutlier)) && !known.Has(outOfBand) {
		o.Known, o.Stored = true, known
		return nil
	}
	if known != nil {
		// Why: its text stays as it came first; what comes now may be a redacted copy of it.
		ev = known.unredacted()
		e.Event = ev
	}
	auth, err := b.authOf(ctx, ev)
	if err != nil {
		return err
	}
	if known != nil {
		e.Row.NID, e.Row.Chain, e.Row.ChainSeq = known.Row.NID, known.Row.Chain, known.Row.ChainSeq
	}
	if err := b.row(ctx, e, auth.numbers(b.r.version)); err != nil {
		return err
	}
	if known != nil {
		b.replaces = known.Row.NID
	}
	o.Stored = e
	o.Refused = b.refusedByAuth(ev, auth)
	if a.Outliers {
		return b.outlier(ctx, e, auth, o.Refused)
	}
	return b.receivePlaced(ctx, e, auth, a, o)
}

// authOf finds the events that an event names as its auth events, with the create event.
func (b *builder) authOf(ctx context.Context, ev *matrix.Event) (authEvents, error) {
	ids := ev.AuthEvents
	if b.r.version.RoomIDIsCreateHash && ev.Type != "m.room.create" && !slices.Contains(ids, ev.RoomID.CreateEventID()) {
		ids = append(slices.Clone(ids), ev.RoomID.CreateEventID())
	}
	var missing ErrMissing
	auth := make(authEvents, 0, len(ids))
	for _, id := range ids {
		a, err := b.find(ctx, id)
		if err != nil {
			return nil, err
		}
		if a == nil {
			missing.Auth = append(missing.Auth, id)
			continue
		}
		auth = append(auth, a)
	}
	if missing.Auth != nil {
		return nil, missing
	}
	return auth, nil
}

// refusedByAuth judges an event by its own auth events.
// Spec: server-server-api/#checks-performed-on-receipt-of-a-pdu, point 4
func (b *builder) refusedByAuth(ev *matrix.Event, auth authEvents) error {
	events := make([]*matrix.Event, len(auth))
	for i, a := range auth {
		if a.Has(storage.FlagRejected) {
			return matrix.Forbidden("Not allowed: an auth event was rejected.")
		}
		events[i] = a.unredacted()
	}
	return authrules.CheckAgainstOwnAuthEvents(ev, events)
}

// outlier keeps an event without a place.
func (b *builder) outlier(ctx context.Context, e *Stored, auth authEvents, refused error) error {
	e.Row.Branch, e.Row.Depth = -1, e.Depth
	e.Row.Flags |= storage.FlagOutlier
	if refused != nil {
		e.Row.Flags |= storage.FlagRejected
	} else if e.IsState() {
		if err := b.chain(ctx, e, auth); err != nil {
			return err
		}
	}
	b.add(e)
	return nil
}

// receivePlaced finds the event's place, judges it there, and writes it.
func (b *builder) receivePlaced(ctx context.Context, e *Stored, auth authEvents, a Arrival, o *Outcome) error {
	prev, err := b.prevOf(ctx, e, a)
	if err != nil {
		return err
	}
	linear := a.State == nil && !a.Backfill && b.namesAllHeads(e.Row.Prev)
	if !linear {
		// Why: what lies between versions is read from the database.
		if err := b.drained(); err != nil {
			return err
		}
	}
	before, err := b.before(ctx, e, prev, linear, a)
	if err != nil {
		return err
	}
	e.Row.Branch, e.Row.Seq = before.Branch, before.Seq
	if o.Refused == nil {
		o.Refused, err = b.refusedAt(ctx, e, before)
	}
	if err != nil {
		return err
	}
	if o.Refused != nil {
		return b.reject(e)
	}
	if err := b.redactLate(ctx, e); err != nil {
		return err
	}
	if linear {
		return b.linear(ctx, e, auth)
	}
	if !a.Backfill && len(b.snap.heads) > 0 {
		if o.Refused, err = b.refusedAt(ctx, e, b.snap.current()); err != nil {
			return err
		}
	}
	return b.fork(ctx, e, auth, prev, a, o.Refused != nil)
}

// prevOf finds the events that an event names as previous and gives it its depth: one more than the greatest of theirs.
func (b *builder) prevOf(ctx context.Context, e *Stored, a Arrival) ([]*Stored, error) {
	var missing ErrMissing
	prev := make([]*Stored, 0, len(e.PrevEvents))
	e.Row.Depth = 1
	for _, id := range e.PrevEvents {
		p, err := b.findPlaced(ctx, id)
		if err != nil {
			return nil, err
		}
		if p == nil || p.Row.Branch < 0 {
			missing.Prev = append(missing.Prev, id)
			continue
		}
		prev = append(prev, p)
		if p.Has(storage.FlagBackfill) && !a.Backfill {
			e.Row.Flags |= storage.FlagGap // it came as history, without what lies before it
		}
		e.Row.Prev = append(e.Row.Prev, p.Row.NID)
		e.Row.Depth = max(e.Row.Depth, p.Row.Depth+1)
	}
	if missing.Prev == nil {
		return prev, nil
	}
	if a.State == nil {
		return nil, missing
	}
	if !a.Backfill {
		e.Row.Flags |= storage.FlagGap
	}
	claimed := e.Depth
	if a.Backfill {
		// Why: history lies before the present, whatever its sender claims.
		claimed = min(claimed, max(b.snap.depth, 1))
	}
	e.Row.Depth = max(e.Row.Depth, claimed)
	return prev, nil
}

// namesAllHeads reports whether a list is exactly the room's heads.
func (b *builder) namesAllHeads(prev []int64) bool {
	unique := slices.Clone(prev)
	slices.Sort(unique)
	unique = slices.Compact(unique)
	if len(unique) != len(b.snap.heads) {
		return false
	}
	for _, h := range b.snap.heads {
		if !slices.Contains(unique, h.nid) {
			return false
		}
	}
	return true
}

// refusedAt judges an event in the state at a version. Spec: points 5 and 6 of the same list.
func (b *builder) refusedAt(ctx context.Context, e *Stored, v Version) (refused, err error) {
	needed := append(authrules.NeededBy(e.Event), matrix.StateTuple{Type: "m.room.create"})
	state, err := b.authAt(ctx, v, needed)
	if err != nil {
		return nil, err
	}
	return authrules.Check(e.Event, state), nil
}

// reject keeps an event that may not be: it stays in the graph and changes nothing.
func (b *builder) reject(e *Stored) error {
	e.Row.Flags |= storage.FlagRejected
	b.exact = true
	b.add(e)
	return nil
}

// before is the version of state before an event: that after the only previous one, the current one, the resolution
// of several, or the one that came with the event.
func (b *builder) before(ctx context.Context, e *Stored, prev []*Stored, linear bool, a Arrival) (Version, error) {
	if linear {
		return b.snap.current(), nil
	}
	if a.State != nil {
		return b.foreignState(ctx, e, a.State)
	}
	var versions []Version
	for _, p := range prev {
		if v := p.After(); !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	switch len(versions) {
	case 0:
		return b.openBranch(ctx, e.Row.NID, Version{Branch: -1}, nil)
	case 1:
		return versions[0], nil
	}
	return b.mergeBefore(ctx, e, versions)
}

// mergeBefore resolves the states after the previous events. Where the result is one of them it is pointed at; else a
// branch holds what differs from the nearest.
func (b *builder) mergeBefore(ctx context.Context, e *Stored, versions []Version) (Version, error) {
	slices.SortFunc(versions, compareVersions)
	m, err := b.merge(ctx, versions)
	if err != nil {
		return Version{}, err
	}
	best, changes := 0, m.changesFrom(0)
	for i := 1; i < len(versions) && len(changes) > 0; i++ {
		if c := m.changesFrom(i); len(c) < len(changes) {
			best, changes = i, c
		}
	}
	if len(changes) == 0 {
		return versions[best], nil
	}
	return b.openBranch(ctx, e.Row.NID, versions[best], changes)
}

// foreignState makes a branch of the state that another server told: without a base where nothing is known of the room yet, else
// of what differs from the current state.
func (b *builder) foreignState(ctx context.Context, e *Stored, ids []matrix.EventID) (Version, error) {
	told, err := b.toldState(ctx, ids)
	if err != nil {
		return Version{}, err
	}
	base := Version{Branch: -1}
	if b.snap.state.size() > 0 {
		base = b.snap.current()
	}
	b.snap.state.all(func(key, event int64) bool {
		c, ok := told[key]
		switch {
		case !ok:
			told[key] = keyChange{key: key, old: event}
		case c.new == event:
			delete(told, key)
		default:
			c.old = event
			told[key] = c
		}
		return true
	})
	changes := make([]keyChange, 0, len(told))
	for _, c := range told {
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(x, y keyChange) int { return cmp.Compare(x.key, y.key) })
	return b.openBranch(ctx, e.Row.NID, base, changes)
}

// toldState is a state by its events, read many at once: their texts are not needed.
func (b *builder) toldState(ctx context.Context, ids []matrix.EventID) (map[int64]keyChange, error) {
	known, err := b.s.db.KnownEvents(ctx, b.r.nid, ids)
	if err != nil {
		return nil, err
	}
	told := make(map[int64]keyChange, len(ids))
	keys := make([]int64, 0, len(ids))
	var missing ErrMissing
	for _, id := range ids {
		k, ok := known[id]
		switch {
		case !ok:
			missing.Auth = append(missing.Auth, id)
		case k.StateKey != 0 && k.Flags&storage.FlagRejected == 0:
			told[k.StateKey] = keyChange{key: k.StateKey, new: k.NID}
			keys = append(keys, k.StateKey)
		}
	}
	if missing.Auth != nil {
		return nil, missing
	}
	if err := b.s.db.LoadStateTuples(ctx, keys); err != nil {
		return nil, err
	}
	for key, c := range told {
		if c.tuple, err = b.s.db.GetStateTuple(ctx, key); err != nil {
			return nil, err
		}
		told[key] = c
	}
	return told, nil
}

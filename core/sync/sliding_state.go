package sync

import (
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// slidingState is the state that goes with a room.
type slidingState struct {
	events  []*rooms.Stored
	removed []matrix.StateTuple
	// changed are the types of state with an empty key that changed, named what now holds those that name the room.
	changed map[string]bool
	named   map[string]*rooms.Stored
	members bool           // the membership of somebody changed
	have    map[int64]bool // numbers of the events
}

// add appends events that are not there yet.
func (st *slidingState) add(events ...*rooms.Stored) {
	for _, e := range events {
		if e != nil && !st.have[e.Row.NID] {
			st.have[e.Row.NID] = true
			st.events = append(st.events, e)
		}
	}
}

// stateFor finds the state that a room's config wants: all of it when the room is new, otherwise what changed, and what
// the config did not want before.
func (b *slidingBuild) stateFor(x *slidingRoom, old *roomConfig) (st slidingState, err error) {
	st = slidingState{changed: map[string]bool{}, named: map[string]*rooms.Stored{}, have: map[int64]bool{}}
	view, err := b.s.rooms.Current(b.ctx, x.v.r)
	if err != nil {
		return st, err
	}
	switch {
	case x.initial:
		err = b.wantedNow(&st, view, x.config, nil)
	case old.sum != x.config.sum:
		if err = b.wantedNow(&st, view, x.config, old); err != nil {
			return st, err
		}
		err = b.changedNow(&st, x)
	default:
		err = b.changedNow(&st, x)
	}
	if err != nil {
		return st, err
	}
	for _, typ := range [...]string{"m.room.name", "m.room.avatar"} {
		if x.initial || st.changed[typ] {
			if st.named[typ], err = view.Stored(b.ctx, matrix.StateTuple{Type: typ}); err != nil {
				return st, err
			}
		}
	}
	if x.config.lazy {
		err = b.speakers(&st, x, view)
	}
	return st, err
}

// wantedNow adds the current state that a config wants and an old one did not.
func (b *slidingBuild) wantedNow(st *slidingState, view *rooms.View, config, old *roomConfig) error {
	had := func(t matrix.StateTuple) bool { return old != nil && !old.opaque && old.wants(t.Type, t.Key) }
	list, all := config.exact()
	for _, t := range list {
		if had(t) {
			continue
		}
		e, err := view.Stored(b.ctx, t)
		if err != nil {
			return err
		}
		st.add(e)
	}
	if all {
		return nil
	}
	var nids []int64
	var err error
	view.Each(func(key, event int64) bool {
		var t matrix.StateTuple
		if t, err = b.s.db.GetStateTuple(b.ctx, key); err == nil && event != 0 && !st.have[event] && config.wants(t.Type, t.Key) && !had(t) {
			nids = append(nids, event)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	events, err := b.s.rooms.Events(b.ctx, nids)
	st.add(events...)
	return err
}

// stateQuiet reports whether the tail alone shows that no state changed.
func (b *slidingBuild) stateQuiet(x *slidingRoom) bool {
	v := x.v
	if v.tailFrom > x.since || v.state > x.since {
		return false
	}
	for i := len(v.tail) - 1; i >= 0 && v.tail[i].pos > x.since; i-- {
		if v.tail[i].stored.IsState() {
			return false
		}
	}
	return true
}

// changedNow adds what changed since the room was sent. Where members are loaded lazily, all that changed are told unless
// there is a gap. MSC4186, Lazy loaded memberships
func (b *slidingBuild) changedNow(st *slidingState, x *slidingRoom) error {
	if b.stateQuiet(x) {
		return nil
	}
	changes, err := b.s.db.ListStateChanges(b.ctx, x.room, x.since, b.head)
	if err != nil {
		return err
	}
	var nids []int64
	for _, c := range changes {
		if c.New == c.Old {
			continue
		}
		t, err := b.s.db.GetStateTuple(b.ctx, c.StateKey)
		if err != nil {
			return err
		}
		if t.Key == "" {
			st.changed[t.Type] = true
		}
		st.members = st.members || t.Type == memberType
		lazy := x.config.lazy && t.Type == memberType && !x.t.limited
		if !lazy && !x.config.wants(t.Type, t.Key) {
			continue
		}
		if c.New == 0 {
			st.removed = append(st.removed, t)
			continue
		}
		nids = append(nids, c.New)
	}
	events, err := b.s.rooms.Events(b.ctx, nids)
	st.add(events...)
	return err
}

// speakers adds the members who speak in the timeline, or are spoken of, unless the client has them.
func (b *slidingBuild) speakers(st *slidingState, x *slidingRoom, view *rooms.View) error {
	seen := map[string]bool{}
	add := func(user string) error {
		if seen[user] {
			return nil
		}
		seen[user] = true
		e, err := view.Stored(b.ctx, matrix.StateTuple{Type: memberType, Key: user})
		if err != nil || e == nil || st.have[e.Row.NID] {
			return err
		}
		k := lazyKey{x.room, e.Row.StateKey}
		if _, known := b.conn.known[k]; known && !x.initial && !x.t.limited {
			return nil
		}
		b.next.known = append(b.next.known, k)
		st.add(e)
		return nil
	}
	for _, line := range x.t.lines {
		e := line.stored
		if err := add(string(e.Sender)); err != nil {
			return err
		}
		if e.Type == memberType && e.StateKey != nil {
			if err := add(*e.StateKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// stateWhenLeft finds the state of a room that the user is out of: as it was then, or what he may know of it.
func (b *slidingBuild) stateWhenLeft(x *slidingRoom, own *rooms.Stored) (st slidingState, err error) {
	st = slidingState{have: map[int64]bool{}}
	if x.initial && x.shown {
		list, _ := x.config.exact()
		for _, t := range list {
			e, err := b.stateEventAt(x.room, t, x.pos)
			if err != nil {
				return st, err
			}
			st.add(e)
		}
	}
	if own == nil {
		st.removed = append(st.removed, memberTuple(b.c.User))
	}
	st.add(own)
	return st, nil
}

// writeRequired writes the state and reports whether there is any.
func (b *slidingBuild) writeRequired(x *slidingRoom) bool {
	st := &x.state
	if len(st.events) == 0 && (len(st.removed) == 0 || !b.r.q.Stable) {
		return false
	}
	b.out = append(b.out, `"required_state":[`...)
	for _, e := range st.events {
		b.out = rooms.AppendClientEvent(b.out, e, rooms.Unsigned{Age: b.now.UnixMilli() - e.OriginServerTS}, false)
		b.out = append(b.out, ',')
	}
	if b.r.q.Stable {
		for _, t := range st.removed {
			b.out = matrix.AppendJSONString(append(b.out, `{"type":`...), t.Type)
			b.out = append(matrix.AppendJSONString(append(b.out, `,"state_key":`...), t.Key), `},`...)
		}
	}
	b.endList()
	b.out = append(b.out, ',')
	return true
}

package sync

import (
	"errors"
	"slices"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// stateOf finds the state that goes with a timeline: what changed between the timeline's beginning and its first event,
// or its end when the client asked for that (MSC4222); for whom the room is new, all of it. heroes are members that the
// summary names.
func (b *build) stateOf(v *roomView, t *timeline, full bool, heroes []matrix.UserID) ([]*rooms.Stored, error) {
	at := t.start()
	if b.q.StateAfter {
		at = t.upto
	}
	var events []*rooms.Stored
	var err error
	whole := int64(0)
	if full && !b.q.StateAfter && len(t.lines) > 0 {
		whole, err = b.cameWhole(v, t)
	}
	switch {
	case err != nil:
	case whole > 0:
		at = whole
		events, err = b.fullState(v, at)
		events = t.without(events)
	case full:
		events, err = b.fullState(v, at)
	case !b.unchanged(v, t):
		events, err = b.changedState(v, t.after, at)
	}
	if err != nil {
		return nil, err
	}
	if b.f.Room.lazy() {
		if events, err = b.addMembers(v, t, at, events, heroes, full); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// cameWhole gives the position up to which a room's state came with the event of a position, as it does from another server: what was
// before is nothing, or out of date. 0 when that event changed no more than one key. Only a membership brings a room from elsewhere;
// so most rooms ask the database nothing.
func (b *build) cameWhole(v *roomView, t *timeline) (int64, error) {
	if t.lines[len(t.lines)-1].stored.Type != "m.room.member" {
		return 0, nil
	}
	pos := t.start() + 1
	_, last, err := b.s.db.FindStateRun(b.ctx, v.room, pos, t.upto)
	if err != nil || last <= pos {
		return 0, err
	}
	return last, nil
}

// without leaves out of some state what stands in the timeline.
func (t *timeline) without(state []*rooms.Stored) []*rooms.Stored {
	return slices.DeleteFunc(state, func(e *rooms.Stored) bool {
		return slices.ContainsFunc(t.lines, func(l *tailEvent) bool { return l.stored.Row.NID == e.Row.NID })
	})
}

// unchanged reports whether the tail alone shows that no state goes with the timeline: the usual case, and no read.
func (b *build) unchanged(v *roomView, t *timeline) bool {
	if !t.tailed || t.limited || v.state > t.after {
		return false
	}
	if !b.q.StateAfter && !t.skipped {
		return true // all that changed stands in the timeline
	}
	for i := len(v.tail) - 1; i >= 0 && v.tail[i].pos > t.after; i-- {
		if v.tail[i].stored.IsState() {
			return false
		}
	}
	return true
}

// changedState reads the keys that changed in (after, upto].
func (b *build) changedState(v *roomView, after, upto int64) ([]*rooms.Stored, error) {
	if upto <= after {
		return nil, nil
	}
	changes, err := b.s.db.ListStateChanges(b.ctx, v.room, after, upto)
	if err != nil {
		return nil, err
	}
	nids := make([]int64, 0, len(changes))
	for _, c := range changes {
		if c.New != 0 && c.New != c.Old {
			nids = append(nids, c.New)
		}
	}
	return b.wantedState(v, nids)
}

// fullState reads all state at a position, without members when they are loaded lazily.
func (b *build) fullState(v *roomView, at int64) ([]*rooms.Stored, error) {
	seq, err := b.stateSeq(v.room, at)
	if err != nil {
		return nil, err
	}
	if seq == 0 {
		return nil, nil
	}
	var nids []int64
	if e := b.early[v.room]; e != nil && e.held != nil && e.state.Seq == seq {
		for _, h := range e.held {
			if h.Event != 0 && b.tellsState(h.Type) {
				nids = append(nids, h.Event)
			}
		}
		return b.wantedState(v, nids)
	}
	add := func(key, event int64) error {
		if event == 0 {
			return nil
		}
		t, err := b.s.db.GetStateTuple(b.ctx, key)
		if err == nil && b.tellsState(t.Type) {
			nids = append(nids, event)
		}
		return err
	}
	now, err := b.s.rooms.Current(b.ctx, v.r)
	if err != nil {
		return nil, err
	}
	if now.Version().Seq == seq {
		now.Each(func(key, event int64) bool { err = add(key, event); return err == nil })
	} else {
		state, e := b.s.rooms.StateAt(b.ctx, v.r, rooms.Version{Seq: seq})
		err = e
		for key, event := range state {
			if err == nil {
				err = add(key, event)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return b.wantedState(v, nids)
}

// wantedState reads events and applies the filter for state.
func (b *build) wantedState(v *roomView, nids []int64) ([]*rooms.Stored, error) {
	events, err := b.s.rooms.Events(b.ctx, nids)
	if err != nil || b.f.Room.State == nil {
		return events, err
	}
	kept := events[:0]
	for _, e := range events {
		if b.f.Room.State.Match(e.Event) && b.f.Room.State.MatchRoom(v.r.ID()) {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// addMembers adds the memberships that a client which loads members lazily needs: of those who speak in the timeline, of
// the heroes, and, where the state is whole, the user's own. What the client proved to have is left out.
// Spec: client-server-api/#lazy-loading-room-members
func (b *build) addMembers(v *roomView, t *timeline, at int64, events []*rooms.Stored, heroes []matrix.UserID, full bool) ([]*rooms.Stored, error) {
	have := map[matrix.UserID]bool{}
	for _, e := range events {
		if e.Type == "m.room.member" {
			have[matrix.UserID(*e.StateKey)] = true
			b.sent = append(b.sent, lazyKey{v.room, e.Row.StateKey})
		}
	}
	ask := func(user matrix.UserID) error {
		if have[user] || !b.f.Room.State.MatchType("m.room.member") {
			return nil
		}
		have[user] = true
		e, err := b.member(v, user, at, full)
		if e != nil {
			events = append(events, e)
		}
		return err
	}
	if full {
		heroes = append([]matrix.UserID{b.c.User}, heroes...)
	}
	for _, user := range heroes {
		if err := ask(user); err != nil {
			return nil, err
		}
	}
	for _, e := range t.lines {
		if err := ask(e.stored.Sender); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// member finds a member's event at a position, nil when there is none or the client has it.
func (b *build) member(v *roomView, user matrix.UserID, at int64, full bool) (*rooms.Stored, error) {
	key, err := b.s.db.FindStateKeyNID(b.ctx, memberTuple(user))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lazy := lazyKey{v.room, key}
	if !full && !b.f.Room.State.IncludeRedundantMembers && b.knows(lazy) {
		return nil, nil
	}
	nid, err := b.memberEvent(v.room, key, at)
	if err != nil || nid == 0 {
		return nil, err
	}
	events, err := b.s.rooms.Events(b.ctx, []int64{nid})
	if err != nil || len(events) == 0 {
		return nil, err
	}
	b.sent = append(b.sent, lazy)
	return events[0], nil
}

func (b *build) knows(k lazyKey) bool {
	b.s.hub.mu.Lock()
	defer b.s.hub.mu.Unlock()
	at, ok := b.u.device(b.c.DeviceNID).lazy[k]
	return ok && at <= b.from.Pos
}

// writeState writes the state under the name that goes with what the client asked for.
func (b *build) writeState(events []*rooms.Stored) {
	name := `"state":{"events":[`
	switch {
	case b.q.StateAfterUnstable: // Why: matrix-js-sdk asks by this name only, and sees the answer under no other
		name = `"org.matrix.msc4222.state_after":{"events":[`
	case b.q.StateAfter:
		name = `"state_after":{"events":[`
	}
	b.out = append(b.out, name...)
	for _, e := range events {
		b.out = rooms.AppendClientEvent(b.out, e, rooms.Unsigned{Age: b.now.UnixMilli() - e.OriginServerTS}, false)
		b.out = append(b.out, ',')
	}
	b.endList()
	b.out = append(b.out, `},`...)
}

package rooms

import (
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// maxUndone bounds how far a key's history is followed.
const maxUndone = 32

// Reset is a piece of a room's current state that state resolution put back to an earlier value, though nobody who may took away
// what it was since: a state reset.
type Reset struct {
	Type     string         `json:"type"`
	StateKey string         `json:"state_key"`
	Was      matrix.EventID `json:"was"`
	Now      matrix.EventID `json:"now,omitempty"` // "" for none
	// Cause is the event whose arrival brought it about.
	Cause matrix.EventID `json:"cause"`
	TS    int64          `json:"ts"`
}

// guarded reports whether it is an alarm when a piece of state is put back: who is in the room, who may do what, who may come in and
// who may read.
func guarded(t matrix.StateTuple) bool {
	switch t.Type {
	case "m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules", "m.room.server_acl", "m.room.history_visibility",
		"m.room.encryption", "m.room.tombstone":
		return true
	}
	return false
}

// watchResets looks at what the resolution that an event made necessary changed, and notes what was put back without reason. A reason is
// that what was put back would not be allowed by something that happened in the room without knowing of it, such as a ban of who did it.
// What happened afterwards is none: who leaves does not take back what he did before.
// It runs after the changes were made. What it cannot find out is no alarm and stops nobody.
func (b *builder) watchResets(ctx context.Context, changes []keyChange, cause *Stored) {
	for _, c := range changes {
		if c.old == 0 || c.new == cause.Row.NID || !guarded(c.tuple) {
			continue
		}
		lost, err := b.undone(ctx, c)
		if err == nil && lost != nil {
			var still bool
			if still, err = b.allowedStill(ctx, c, lost); err == nil && still {
				b.reset(ctx, c, cause)
			}
		}
		if err != nil {
			b.s.log.Warn("it could not be found out whether state was reset", "room", b.r.id, "type", c.tuple.Type, "state_key", c.tuple.Key, "error", err)
		}
	}
}

// undone follows the history of a key back to the value that it has now, and gives the events that were lost, the newest first. There
// are none when the value is no earlier one.
func (b *builder) undone(ctx context.Context, c keyChange) (lost []*Stored, err error) {
	for nid := c.old; len(lost) < maxUndone; {
		e, err := b.event(ctx, nid)
		if err != nil {
			return nil, err
		}
		if lost = append(lost, e); !e.Before().Known() {
			return nil, nil
		}
		if nid, err = b.valueAt(ctx, e.Before(), c.key); err != nil {
			return nil, err
		}
		if nid == c.new {
			return lost, nil
		}
		if nid == 0 {
			return nil, nil
		}
	}
	return nil, nil
}

// allowedStill reports whether the first of the events that were lost would be allowed in the state as built so far, without what came
// about in knowledge of them.
func (b *builder) allowedStill(ctx context.Context, c keyChange, lost []*Stored) (bool, error) {
	first := lost[len(lost)-1]
	if first.Type == "m.room.create" {
		return true, nil // it never goes
	}
	needed := append(authrules.NeededBy(first.Event), matrix.StateTuple{Type: "m.room.create"})
	now, err := b.view().authState(ctx, needed)
	if err != nil {
		return false, err
	}
	then, err := b.authAt(ctx, first.Before(), needed)
	if err != nil {
		return false, err
	}
	state := make(authEvents, 0, len(now))
	for _, e := range now {
		knew, err := b.knew(ctx, e, c.key, lost)
		if err != nil {
			return false, err
		}
		if !knew {
			state = append(state, e)
			continue
		}
		for _, old := range then {
			if old.Tuple() == e.Tuple() {
				state = append(state, old)
			}
		}
	}
	return authrules.Check(first.Event, state) == nil, nil
}

// knew reports whether one of the lost events was in the state before another one.
func (b *builder) knew(ctx context.Context, e *Stored, key int64, lost []*Stored) (bool, error) {
	if !e.Before().Known() {
		return false, nil
	}
	nid, err := b.valueAt(ctx, e.Before(), key)
	return slices.ContainsFunc(lost, func(l *Stored) bool { return l.Row.NID == nid }), err
}

// reset writes an alarm with the change that it is about.
func (b *builder) reset(ctx context.Context, c keyChange, cause *Stored) {
	b.change.Add(&storage.ResetRow{At: storage.At{Live: cause.Row.Live}, Room: b.r.nid, StateKey: c.key, Event: cause.Row.NID, Was: c.old, Now: c.new,
		TS: b.s.nowMS()})
	r := Reset{Type: c.tuple.Type, StateKey: c.tuple.Key, Cause: cause.ID, TS: b.s.nowMS()}
	r.Was = b.idOf(ctx, c.old)
	r.Now = b.idOf(ctx, c.new)
	b.resets = append(b.resets, r)
}

// idOf is an event's id, "" when it cannot be read.
func (b *builder) idOf(ctx context.Context, nid int64) matrix.EventID {
	if nid == 0 {
		return ""
	}
	e, err := b.event(ctx, nid)
	if err != nil {
		return ""
	}
	return e.ID
}

// alarm tells of resets once they are committed.
func (s *Service) alarm(room matrix.RoomID, resets []Reset) {
	for _, r := range resets {
		s.resets.Add(1)
		s.log.Error("state reset: resolution put back what nobody took away; rempart room repair asks other servers for it", "room", room,
			"type", r.Type, "state_key", r.StateKey, "was", r.Was, "now", r.Now, "cause", r.Cause)
	}
}

// Resets counts the state resets since the start.
func (s *Service) Resets() int64 { return s.resets.Load() }

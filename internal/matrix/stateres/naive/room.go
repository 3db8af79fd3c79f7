package naive

import (
	"errors"
	"sort"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// Room computes what a server must know of a room's events: the state before each, whether it is rejected, the
// heads and the current state. Events are added after their parents and auth events. Not safe for concurrent use.
type Room struct {
	Version *matrix.RoomVersion
	Events  Events
	// Before and After are the full states around each event; a rejected event leaves the state as it is.
	Before, After map[matrix.EventID]State
	// Rejected holds the events that failed the checks on receipt. Soft failure is no matter of the graph alone and is not judged here.
	Rejected map[matrix.EventID]bool
	// Why says, per rejected event, which rule it broke.
	Why map[matrix.EventID]error

	children map[matrix.EventID][]matrix.EventID
}

// NewRoom makes an empty room.
func NewRoom(v *matrix.RoomVersion) *Room {
	return &Room{
		Version: v, Events: Events{},
		Before: map[matrix.EventID]State{}, After: map[matrix.EventID]State{},
		Rejected: map[matrix.EventID]bool{}, Why: map[matrix.EventID]error{},
		children: map[matrix.EventID][]matrix.EventID{},
	}
}

// Add takes in one event whose parents and auth events are known.
// Spec: server-server-api/#checks-performed-on-receipt-of-a-pdu, points 4 and 5.
func (r *Room) Add(e *matrix.Event) {
	r.Events[e.ID] = e
	for _, p := range e.PrevEvents {
		r.children[p] = append(r.children[p], e.ID)
	}
	before := r.StateAfter(e.PrevEvents)
	r.Before[e.ID] = before
	if err := r.judge(e, before); err != nil {
		r.Rejected[e.ID], r.Why[e.ID] = true, err
	}
	after := before
	if e.IsState() && !r.Rejected[e.ID] {
		after = copyOf(before)
		after[e.Tuple()] = e.ID
	}
	r.After[e.ID] = after
}

// judge checks against the event's own auth events and against the state before it.
func (r *Room) judge(e *matrix.Event, before State) error {
	var auth []*matrix.Event
	for _, a := range AuthEvents(e) {
		b := r.Events[a]
		if b == nil {
			return errors.New("an auth event is missing")
		}
		if r.Rejected[a] {
			return errors.New("an auth event was rejected")
		}
		auth = append(auth, b)
	}
	if err := authrules.CheckAgainstOwnAuthEvents(e, auth); err != nil {
		return err
	}
	return authrules.Check(e, r.View(before))
}

// StateAfter is the resolution of the states after the given events.
func (r *Room) StateAfter(ids []matrix.EventID) State {
	states := make([]State, 0, len(ids))
	for _, id := range ids {
		states = append(states, r.After[id])
	}
	switch len(states) {
	case 0:
		return State{}
	case 1:
		return states[0]
	}
	return Resolve(r.Version, states, r.Events, r.Rejected)
}

// View shows a state to the authorisation rules.
func (r *Room) View(s State) authrules.State { return plain{r.Events, s} }

// Heads lists, sorted, the accepted events that no accepted event descends from.
func (r *Room) Heads() []matrix.EventID {
	var heads []matrix.EventID
	for id := range r.Events {
		if !r.Rejected[id] && !r.hasAcceptedDescendant(id) {
			heads = append(heads, id)
		}
	}
	sort.Slice(heads, func(i, j int) bool { return heads[i] < heads[j] })
	return heads
}

func (r *Room) hasAcceptedDescendant(id matrix.EventID) bool {
	for _, c := range r.children[id] {
		if !r.Rejected[c] || r.hasAcceptedDescendant(c) {
			return true
		}
	}
	return false
}

// Current is the state after the heads.
func (r *Room) Current() State { return r.StateAfter(r.Heads()) }

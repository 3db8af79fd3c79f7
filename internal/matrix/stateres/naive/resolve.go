// Package naive resolves room state the slow and obvious way: over full state maps, straight from the text of
// the specification, with nothing remembered from one step to the next. It is the oracle against which tests of
// stateres, of the event graph and of storage compare; no program imports it.
package naive

import (
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// State is a full room state: from (type, state key) to the event that sets it.
type State map[matrix.StateTuple]matrix.EventID

// Events finds events by id.
type Events map[matrix.EventID]*matrix.Event

// set is a set of events.
type set map[matrix.EventID]bool

// Resolve returns the resolution of states. Rejected holds the events that were rejected on receipt.
func Resolve(v *matrix.RoomVersion, states []State, events Events, rejected map[matrix.EventID]bool) State {
	r := resolver{v: v, events: events, rejected: rejected}
	switch v.StateRes {
	case matrix.StateResV1:
		return r.v1(states)
	case matrix.StateResV21:
		return r.v2(states, true)
	default:
		return r.v2(states, false)
	}
}

type resolver struct {
	v        *matrix.RoomVersion
	events   Events
	rejected map[matrix.EventID]bool
}

// v2 is the algorithm of rooms/v2/#algorithm; with v21, of rooms/v12/#algorithm.
func (r resolver) v2(states []State, v21 bool) State {
	unconflicted, conflicted := split(states)
	full := r.authDifference(states)
	for id := range conflicted {
		full[id] = true
	}
	if v21 {
		for id := range r.subgraph(conflicted) {
			full[id] = true
		}
	}

	// 1. Power events, and what of their auth chains is in the full conflicted set.
	x := set{}
	for id := range full {
		if !isPower(r.events[id]) {
			continue
		}
		x[id] = true
		for a := range r.chain(id) {
			if full[a] {
				x[a] = true
			}
		}
	}

	// 2. Iterative auth checks.
	start := unconflicted
	if v21 {
		start = State{}
	}
	partial := r.iterate(start, r.powerOrder(x))

	// 3. and 4. The others, by mainline.
	rest := set{}
	for id := range full {
		if !x[id] {
			rest[id] = true
		}
	}
	resolved := r.iterate(partial, r.mainlineOrder(rest, partial[matrix.StateTuple{Type: "m.room.power_levels"}]))

	// 5. What was never in conflict stands.
	for key, id := range unconflicted {
		resolved[key] = id
	}
	return resolved
}

// split divides the states into the unconflicted state map and the conflicted state set.
func split(states []State) (State, set) {
	unconflicted, conflicted := State{}, set{}
	for _, s := range states {
		for key, id := range s {
			same := true
			for _, other := range states {
				same = same && other[key] == id
			}
			if same {
				unconflicted[key] = id
			} else {
				conflicted[id] = true
			}
		}
	}
	return unconflicted, conflicted
}

// iterate is the iterative auth checks algorithm.
func (r resolver) iterate(start State, order []matrix.EventID) State {
	state := State{}
	for key, id := range start {
		state[key] = id
	}
	for _, id := range order {
		e := r.events[id]
		if e.IsState() && authrules.Check(e, view{r, state, e}) == nil {
			state[e.Tuple()] = id
		}
	}
	return state
}

// view is a state in which missing entries are taken from an event's accepted auth events.
type view struct {
	r     resolver
	state State
	e     *matrix.Event
}

// Event implements authrules.State.
func (w view) Event(t matrix.StateTuple) *matrix.Event {
	if id, ok := w.state[t]; ok {
		return w.r.events[id]
	}
	for _, a := range AuthEvents(w.e) {
		if b := w.r.events[a]; b.IsState() && b.Tuple() == t && !w.r.rejected[a] {
			return b
		}
	}
	return nil
}

// AuthEvents lists an event's auth events; where the room id names the create event, that too.
func AuthEvents(e *matrix.Event) []matrix.EventID {
	if !e.Version.RoomIDIsCreateHash || e.Type == "m.room.create" {
		return e.AuthEvents
	}
	return append(append([]matrix.EventID(nil), e.AuthEvents...), e.RoomID.CreateEventID())
}

func isPower(e *matrix.Event) bool {
	if !e.IsState() {
		return false
	}
	if e.Type == "m.room.member" {
		left := e.Membership() == "leave" || e.Membership() == "ban"
		return left && string(e.Sender) != *e.StateKey
	}
	return e.Type == "m.room.power_levels" || e.Type == "m.room.join_rules"
}

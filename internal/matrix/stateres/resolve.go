// Package stateres resolves the states of a forked room into one: algorithm v1 (room version 1), v2
// (versions 2 to 11) and v2.1 (version 12, MSC4297). It is called by the event graph wherever an event has
// several parents or a room several heads. It works on what differs between the states, so that the cost
// follows the difference and not the size of the room; it never stores anything and keeps nothing between calls.
//
// Spec: rooms/v1/#state-resolution, rooms/v2/#state-resolution, rooms/v12/#state-resolution
package stateres

import (
	"context"
	"errors"
	"fmt"

	"rempart/internal/matrix"
)

// Source reads events of the room. Calls come from one goroutine, each id is asked for at most once a resolution.
type Source interface {
	// Event returns any event that the input names or that is an auth event of one; it must exist.
	Event(ctx context.Context, id matrix.EventID) (*matrix.Event, error)
	// AuthEvents returns the event's auth events, from room version 12 on with the create event added.
	AuthEvents(ctx context.Context, id matrix.EventID) ([]matrix.EventID, error)
}

// Input describes the states to resolve by what differs between them.
type Input struct {
	Version *matrix.RoomVersion
	// Sets holds, per state, the differing keys only; a key absent from a set is absent from that state.
	Sets []map[matrix.StateTuple]matrix.EventID
	// Unconflicted returns the common value of a key that no set holds; "" when the states have none.
	Unconflicted func(ctx context.Context, t matrix.StateTuple) (matrix.EventID, error)
	// AuthDifference returns every event that is in the full auth chain of one of the full states but not of
	// all of them. Needed by v2 and v2.1.
	AuthDifference func(ctx context.Context) ([]matrix.EventID, error)
	// ConflictedSubgraph returns all events on auth paths between two of the conflicted events, ends included.
	// Only v2.1 asks. Nil: found by walking, see Subgraph.
	ConflictedSubgraph func(ctx context.Context, conflicted []matrix.EventID) ([]matrix.EventID, error)
	// Rejected says whether an auth event was rejected, in which case it is no stand-in for missing state. Nil: none was.
	Rejected func(ctx context.Context, id matrix.EventID) (bool, error)
}

// MaxEvents bounds how many events one resolution may look at.
const MaxEvents = 1_000_000

// ErrTooLarge is returned when a resolution would look at more than MaxEvents events.
var ErrTooLarge = errors.New("state resolution: too many events")

// ErrCycle is returned when auth events refer to each other in a circle.
var ErrCycle = errors.New("state resolution: circular auth events")

// Resolve returns the resolved value of every key in the sets ("" when it is absent from the resolved state),
// and further keys that no state had and that resolution brought in. The result does not depend on the order of sets.
func Resolve(ctx context.Context, in Input, src Source) (out map[matrix.StateTuple]matrix.EventID, err error) {
	// Why: a resolution judges what other servers wrote; a mistake of ours must cost one room, not the process.
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("state resolution: panic: %v", p)
		}
	}()
	r := newResolution(newReads(ctx, in, src), in)
	r.v21 = in.Version.StateRes == matrix.StateResV21
	if in.Version.StateRes == matrix.StateResV1 {
		return r.resolveV1()
	}
	if len(r.conflicted) == 0 {
		return r.agreed, nil
	}
	return r.resolveV2()
}

// resolution is the work space of one call of Resolve.
type resolution struct {
	read reads
	v21  bool
	// agreed are the keys of the sets on which all states agree; conflicted the values of all others.
	agreed     map[matrix.StateTuple]matrix.EventID
	conflicted map[matrix.StateTuple][]matrix.EventID
	base       map[matrix.StateTuple]matrix.EventID // answers of in.Unconflicted
	events     map[matrix.EventID]*matrix.Event
	auth       map[matrix.EventID][]matrix.EventID
	rejected   map[matrix.EventID]bool
}

func newResolution(read reads, in Input) *resolution {
	r := &resolution{
		read:     read,
		base:     map[matrix.StateTuple]matrix.EventID{},
		events:   map[matrix.EventID]*matrix.Event{},
		auth:     map[matrix.EventID][]matrix.EventID{},
		rejected: map[matrix.EventID]bool{},
	}
	r.agreed, r.conflicted = separate(in.Sets)
	return r
}

// separate divides the keys of the sets into those with the same value in every set and the others, with
// their distinct values. Spec: rooms/v2/#definitions, "unconflicted state map and conflicted state set".
func separate(sets []map[matrix.StateTuple]matrix.EventID) (agreed map[matrix.StateTuple]matrix.EventID, conflicted map[matrix.StateTuple][]matrix.EventID) {
	agreed = map[matrix.StateTuple]matrix.EventID{}
	conflicted = map[matrix.StateTuple][]matrix.EventID{}
	for _, set := range sets {
		for key := range set {
			if _, done := agreed[key]; done || conflicted[key] != nil {
				continue
			}
			values, everywhere := valuesOf(sets, key)
			switch {
			case len(values) == 0:
				agreed[key] = ""
			case len(values) == 1 && everywhere:
				agreed[key] = values[0]
			default:
				conflicted[key] = values
			}
		}
	}
	return agreed, conflicted
}

// valuesOf lists the distinct values of a key and tells whether every set has one.
func valuesOf(sets []map[matrix.StateTuple]matrix.EventID, key matrix.StateTuple) (values []matrix.EventID, everywhere bool) {
	everywhere = true
	for _, set := range sets {
		id := set[key]
		if id == "" {
			everywhere = false
			continue
		}
		known := false
		for _, v := range values {
			known = known || v == id
		}
		if !known {
			values = append(values, id)
		}
	}
	return values, everywhere
}

// result completes what resolution found with the keys of the sets that it left without a value.
func (r *resolution) result(resolved map[matrix.StateTuple]matrix.EventID) map[matrix.StateTuple]matrix.EventID {
	for key := range r.conflicted {
		if _, ok := resolved[key]; !ok {
			resolved[key] = ""
		}
	}
	for key, id := range r.agreed {
		resolved[key] = id
	}
	return resolved
}

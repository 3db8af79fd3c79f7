package naive

import (
	"crypto/sha1" //nolint:gosec // Spec: rooms/v1/#state-resolution orders by it.
	"sort"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// v1 is the algorithm of rooms/v1/#state-resolution. Where the text is silent it follows what deployed servers
// do: keys of one type do not see one another, and the least deep event wins when no other is allowed.
func (r resolver) v1(states []State) State {
	resolved := State{}
	conflicts := map[matrix.StateTuple]set{}
	for _, s := range states {
		for key, id := range s {
			if conflicts[key] == nil {
				conflicts[key] = set{}
			}
			conflicts[key][id] = true
		}
	}
	for key, ids := range conflicts {
		if len(ids) == 1 {
			resolved[key] = list(ids)[0]
			delete(conflicts, key)
		}
	}
	for _, typ := range []string{"m.room.power_levels", "m.room.join_rules", "m.room.member"} {
		before := copyOf(resolved)
		for key, ids := range conflicts {
			if key.Type == typ {
				resolved[key] = r.climb(before, key, ids)
				delete(conflicts, key)
			}
		}
	}
	before := copyOf(resolved)
	for key, ids := range conflicts {
		order := r.byDepth(ids)
		resolved[key] = order[0]
		for _, id := range order[1:] {
			if r.allowed(id, before) {
				resolved[key] = id
			}
		}
	}
	return resolved
}

// climb starts with the first event and takes the next for as long as it is allowed.
func (r resolver) climb(state State, key matrix.StateTuple, ids set) matrix.EventID {
	state = copyOf(state)
	order := r.byDepth(ids)
	state[key] = order[0]
	for _, id := range order[1:] {
		if !r.allowed(id, state) {
			break
		}
		state[key] = id
	}
	return state[key]
}

func (r resolver) allowed(id matrix.EventID, state State) bool {
	return authrules.Check(r.events[id], plain{r.events, state}) == nil
}

// byDepth sorts by ascending depth, then descending SHA-1 of the id.
func (r resolver) byDepth(ids set) []matrix.EventID {
	order := list(ids)
	sort.Slice(order, func(i, j int) bool {
		x, y := r.events[order[i]], r.events[order[j]]
		if x.Depth != y.Depth {
			return x.Depth < y.Depth
		}
		hx, hy := sha1.Sum([]byte(x.ID)), sha1.Sum([]byte(y.ID)) //nolint:gosec // as above
		return string(hx[:]) > string(hy[:])
	})
	return order
}

// plain is a state and nothing else.
type plain struct {
	events Events
	state  State
}

// Event implements authrules.State.
func (p plain) Event(t matrix.StateTuple) *matrix.Event { return p.events[p.state[t]] }

func copyOf(s State) State {
	c := make(State, len(s))
	for key, id := range s {
		c[key] = id
	}
	return c
}

package naive

import "rempart/internal/matrix"

// chain is the auth chain of an event, without the event itself.
func (r resolver) chain(id matrix.EventID) set {
	found := set{}
	todo := AuthEvents(r.events[id])
	for len(todo) > 0 {
		a := todo[0]
		todo = todo[1:]
		if !found[a] {
			found[a] = true
			todo = append(todo[:len(todo):len(todo)], AuthEvents(r.events[a])...)
		}
	}
	return found
}

// AuthDifference is the auth difference of full states: union of their full auth chains without the intersection.
func AuthDifference(states []State, events Events) []matrix.EventID {
	return list(resolver{events: events}.authDifference(states))
}

func (r resolver) authDifference(states []State) set {
	count := map[matrix.EventID]int{}
	for _, s := range states {
		full := set{}
		for _, id := range s {
			for a := range r.chain(id) {
				full[a] = true
			}
		}
		for a := range full {
			count[a]++
		}
	}
	difference := set{}
	for a, n := range count {
		if n < len(states) {
			difference[a] = true
		}
	}
	return difference
}

// Subgraph is the conflicted state subgraph: every event on an auth path between two of the given events, and these.
func Subgraph(conflicted []matrix.EventID, events Events) []matrix.EventID {
	ends := set{}
	for _, id := range conflicted {
		ends[id] = true
	}
	return list(resolver{events: events}.subgraph(ends))
}

func (r resolver) subgraph(conflicted set) set {
	between := set{}
	for top := range conflicted {
		between[top] = true
		// An event below top lies on a path if a conflicted event is in its own auth chain (or it is one).
		for a := range r.chain(top) {
			if conflicted[a] {
				between[a] = true
			}
			for b := range r.chain(a) {
				if conflicted[b] {
					between[a] = true
				}
			}
		}
	}
	return between
}

func list(s set) []matrix.EventID {
	ids := make([]matrix.EventID, 0, len(s))
	for id := range s {
		ids = append(ids, id)
	}
	return ids
}

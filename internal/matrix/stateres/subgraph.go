package stateres

import (
	"context"

	"rempart/internal/matrix"
)

// subgraph asks the caller for the conflicted state subgraph, or walks.
func (r *resolution) subgraph(conflicted []matrix.EventID) ([]matrix.EventID, error) {
	if r.read.subgraph != nil {
		return r.read.subgraph(conflicted)
	}
	return walkSubgraph(conflicted, r.authOf)
}

// Subgraph finds the conflicted state subgraph by walking the whole auth chains of the conflicted events: all
// events on paths between any two of them, ends included. Callers with an index of auth chains do better.
// Spec: rooms/v12/#definitions, "conflicted state subgraph". MSC4297
func Subgraph(ctx context.Context, conflicted []matrix.EventID, src Source) ([]matrix.EventID, error) {
	r := newResolution(newReads(ctx, Input{}, src), Input{})
	return walkSubgraph(conflicted, r.authOf)
}

func walkSubgraph(conflicted []matrix.EventID, authOf func(matrix.EventID) ([]matrix.EventID, error)) ([]matrix.EventID, error) {
	// Down: everything in the auth chains, with the way back up.
	children := map[matrix.EventID][]matrix.EventID{}
	seen := make(idSet, len(conflicted))
	seen.add(conflicted...)
	for todo := append([]matrix.EventID(nil), conflicted...); len(todo) > 0; {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		ids, err := authOf(id)
		if err != nil {
			return nil, err
		}
		for _, a := range ids {
			children[a] = append(children[a], id)
			if !seen.has(a) {
				seen.add(a)
				todo = append(todo, a)
			}
		}
	}
	// Up: what has been seen below a conflicted event and also leads up from one lies between the two.
	between := make(idSet, len(conflicted))
	between.add(conflicted...)
	list := append([]matrix.EventID(nil), conflicted...)
	for at := 0; at < len(list); at++ {
		for _, c := range children[list[at]] {
			if !between.has(c) {
				between.add(c)
				list = append(list, c)
			}
		}
	}
	return list, nil
}

// idSet is a set of events.
type idSet map[matrix.EventID]struct{}

func (s idSet) has(id matrix.EventID) bool { _, ok := s[id]; return ok }

func (s idSet) add(ids ...matrix.EventID) {
	for _, id := range ids {
		s[id] = struct{}{}
	}
}

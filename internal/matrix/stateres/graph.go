package stateres

import (
	"container/heap"

	"rempart/internal/matrix"
)

// authGraph is a part of the graph of auth events. Nodes that are not members of the full conflicted set are
// bridges: they carry order between members but are not listed themselves.
type authGraph struct {
	index map[matrix.EventID]int // position in nodes
	nodes []authNode
}

type authNode struct {
	id      matrix.EventID
	member  bool
	parents int   // auth events in the graph that are not placed yet
	next    []int // nodes that have this one as auth event
}

// powerGraph selects the power events of the full conflicted set and those events of their auth chains that
// belong to it too. Spec: rooms/v2/#algorithm, step 1.
func (r *resolution) powerGraph(set conflictSet) (*authGraph, error) {
	g := &authGraph{index: map[matrix.EventID]int{}}
	// A member outside of the auth difference is, if at all, in the auth chains of all states. Such a one can be
	// reached from another member through events outside of the set; without one, no path leaves the set and returns.
	bridged := false
	for id, inDifference := range set {
		e, err := r.event(id)
		if err != nil {
			return nil, err
		}
		bridged = bridged || !inDifference && authorises(e.Type)
		if isPowerEvent(e) {
			g.add(id, true)
		}
	}
	// The list of nodes grows while it is walked.
	for at := 0; at < len(g.nodes); at++ {
		ids, err := r.authOf(g.nodes[at].id)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if member := set.has(id); member || bridged {
				g.link(g.add(id, member), at)
			}
		}
	}
	g.dropBridges()
	return g, nil
}

func (g *authGraph) add(id matrix.EventID, member bool) int {
	if at, ok := g.index[id]; ok {
		return at
	}
	at := len(g.nodes)
	g.index[id] = at
	g.nodes = append(g.nodes, authNode{id: id, member: member})
	return at
}

func (g *authGraph) link(parent, child int) {
	g.nodes[parent].next = append(g.nodes[parent].next, child)
	g.nodes[child].parents++
}

// dropBridges removes bridges from the index, which from then on lists members only.
func (g *authGraph) dropBridges() {
	for _, n := range g.nodes {
		if !n.member {
			delete(g.index, n.id)
		}
	}
}

// powerOrder is the reverse topological power ordering: Kahn's algorithm with the smallest candidate first.
// Spec: rooms/v2/#definitions, "reverse topological power ordering".
func (r *resolution) powerOrder(g *authGraph) ([]matrix.EventID, error) {
	ready := &powerHeap{}
	placed := 0
	var bridges []int
	free := func(at int) error {
		if !g.nodes[at].member {
			bridges = append(bridges, at)
			return nil
		}
		rank, err := r.rank(g.nodes[at].id)
		heap.Push(ready, ranked{rank, at})
		return err
	}
	for at := range g.nodes {
		if g.nodes[at].parents == 0 {
			if err := free(at); err != nil {
				return nil, err
			}
		}
	}
	order := make([]matrix.EventID, 0, len(g.index))
	for ; ready.Len() > 0 || len(bridges) > 0; placed++ {
		var at int
		if last := len(bridges) - 1; last >= 0 {
			at, bridges = bridges[last], bridges[:last]
		} else {
			at = heap.Pop(ready).(ranked).at
			order = append(order, g.nodes[at].id)
		}
		if err := g.release(at, free); err != nil {
			return nil, err
		}
	}
	if placed != len(g.nodes) {
		return nil, ErrCycle
	}
	return order, nil
}

// release tells the events that rest on a placed one, and frees those that waited only for it.
func (g *authGraph) release(at int, free func(int) error) error {
	for _, next := range g.nodes[at].next {
		g.nodes[next].parents--
		if g.nodes[next].parents == 0 {
			if err := free(next); err != nil {
				return err
			}
		}
	}
	return nil
}

package stateres

import (
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// rank is what the reverse topological power ordering compares.
type rank struct {
	power int64 // the sender's, by the event's own auth events
	ts    int64
	id    matrix.EventID
}

func (x rank) less(y rank) bool {
	if x.power != y.power {
		return x.power > y.power
	}
	if x.ts != y.ts {
		return x.ts < y.ts
	}
	return x.id < y.id
}

func (r *resolution) rank(id matrix.EventID) (rank, error) {
	e, err := r.event(id)
	if err != nil {
		return rank{}, err
	}
	state := &ownAuthState{r: r, id: id}
	power := authrules.PowerLevelOf(state, e.Sender)
	return rank{power: power, ts: e.OriginServerTS, id: id}, state.err
}

// ownAuthState shows an event's auth events as a state, rejected ones included.
type ownAuthState struct {
	r   *resolution
	id  matrix.EventID
	err error
}

// Event implements authrules.State.
func (s *ownAuthState) Event(t matrix.StateTuple) *matrix.Event {
	e, err := s.r.authEventOf(s.id, t)
	if err != nil && s.err == nil {
		s.err = err
	}
	return e
}

// ranked is a candidate with its place in the graph.
type ranked struct {
	rank
	at int
}

// powerHeap implements heap.Interface; the smallest rank comes out first.
type powerHeap []ranked

func (h powerHeap) Len() int           { return len(h) }
func (h powerHeap) Less(i, j int) bool { return h[i].less(h[j].rank) }
func (h powerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *powerHeap) Push(x any) { *h = append(*h, x.(ranked)) }

// Pop implements heap.Interface.
func (h *powerHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

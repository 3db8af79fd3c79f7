package rooms

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rempart/internal/matrix"
)

// Why turns: a write that rests on the state of a room (a state event, or a message beside one) loses where another node
// writes faster than this one can read what came. Without a turn of its own it would lose for ever.
const (
	// losses is how often a write may lose before its node asks the others to wait.
	losses = 2
	// turnTime is how long the others wait at most; a write takes some milliseconds.
	turnTime = 300 * time.Millisecond
)

// turnKind is the first byte of what nodes tell one another of turns.
const turnKind = 'r'

// turnAsked asks the other nodes to let writes of one node pass, or says that they have.
type turnAsked struct {
	Room int64 `json:"room"`
	By   int64 `json:"by"`
	// Since is the stream's position at which the oldest of these writes lost first. Of two nodes that ask, the smaller
	// goes first, so that every write is the oldest one some time.
	Since int64 `json:"since"`
	Done  bool  `json:"done,omitempty"`
}

func (t turnAsked) before(o turnAsked) bool {
	return t.Since < o.Since || t.Since == o.Since && t.By < o.By
}

// turns are the requests for a turn in one room. It may be used concurrently.
type turns struct {
	asked   atomic.Bool // others is not empty
	mu      sync.Mutex
	mine    []int64             // since when the writes of this node that ask have been losing
	others  map[int64]turnAsked // by node
	changed chan struct{}       // closed when somebody here waits and others changed
}

// contender is a write that may have to be built several times.
type contender struct {
	s     *Service
	room  *Room // set once it asks
	tries int
	since int64
	// heard is the position heard of before the newest build; sure says that nothing was left to hear of.
	heard int64
	sure  bool
}

// build notes that the write is built now.
func (c *contender) build() { c.heard = c.s.db.Position() }

// refused reports whether a refusal is to be looked at again, since another node wrote something that this one had not
// heard of. Why: who has just joined by one node may send by another.
func (c *contender) refused(ctx context.Context, r *Room, err error) bool {
	if c.sure || !matrix.HasCode(err, matrix.CodeForbidden) {
		return false
	}
	c.sure = true
	if err := c.s.db.CatchUp(ctx); err != nil || c.s.db.Position() == c.heard {
		return false
	}
	r.upToDate() // else it may be built beside what was heard of
	return true
}

// lost notes that a write lost its race, and asks for a turn when it goes on losing. It reports whether to try again.
func (c *contender) lost(r *Room) bool {
	if c.tries++; c.tries == 1 {
		c.since = c.s.db.Position()
	}
	if c.tries%losses == 0 && r != nil {
		if c.room == nil {
			c.room = r
			r.turns.enter(c.since)
		}
		c.s.tellTurn(c.room)
	}
	return c.tries <= maxRebuilds
}

// end gives the turn back.
func (c *contender) end() {
	if c.room != nil {
		c.room.turns.leave(c.since)
		c.s.tellTurn(c.room)
		c.room = nil
	}
}

func (t *turns) enter(since int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mine = append(t.mine, since)
}

func (t *turns) leave(since int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.mine, since); i >= 0 {
		t.mine = slices.Delete(t.mine, i, i+1)
	}
}

// tellTurn tells the other nodes whether writes of this one ask for a turn.
func (s *Service) tellTurn(r *Room) {
	body, err := json.Marshal(r.turns.request(r.nid, s.db.Node()))
	if err == nil {
		err = s.db.Broadcast(context.Background(), append([]byte{turnKind}, body...))
	}
	if err != nil {
		s.log.Warn("ask other nodes for a turn", "room", string(r.id), "error", err)
	}
}

func (t *turns) request(room, node int64) turnAsked {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.requestLocked(room, node)
}

func (t *turns) requestLocked(room, node int64) turnAsked {
	if len(t.mine) == 0 {
		return turnAsked{Room: room, By: node, Done: true}
	}
	return turnAsked{Room: room, By: node, Since: slices.Min(t.mine)}
}

// hearTurn takes in what another node asks for.
func (s *Service) hearTurn(body []byte) {
	var t turnAsked
	if len(body) == 0 || body[0] != turnKind || matrix.Decode(body[1:], &t) != nil {
		return
	}
	if r := s.rooms.byNID(t.Room); r != nil {
		r.turns.hear(t)
	}
}

func (t *turns) hear(o turnAsked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o.Done {
		delete(t.others, o.By)
	} else {
		if t.others == nil {
			t.others = map[int64]turnAsked{}
		}
		t.others[o.By] = o
	}
	t.changedLocked()
}

func (t *turns) changedLocked() {
	t.asked.Store(len(t.others) > 0)
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// other is closed when the node whose turn it is has something new to say; nil: nobody's turn but ours.
func (t *turns) other(room, node int64) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	ours := t.requestLocked(room, node)
	for _, o := range t.others {
		if ours.Done || o.before(ours) {
			if t.changed == nil {
				t.changed = make(chan struct{})
			}
			return t.changed
		}
	}
	return nil
}

// dismiss forgets those who had their time: they may have died.
func (t *turns) dismiss() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.others)
	t.changedLocked()
}

// yield waits while it is another node's turn: until that one has written, or has had its time. mu is held.
func (r *Room) yield(ctx context.Context) {
	if !r.turns.asked.Load() || r.turns.other(r.nid, r.s.db.Node()) == nil {
		return
	}
	r.drain()
	over := time.NewTimer(turnTime)
	defer over.Stop()
	for {
		other := r.turns.other(r.nid, r.s.db.Node())
		if other == nil {
			return
		}
		select {
		case <-other:
		case <-over.C:
			r.turns.dismiss()
			return
		case <-ctx.Done():
			return
		}
	}
}

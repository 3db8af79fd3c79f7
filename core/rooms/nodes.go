package rooms

import (
	"context"
	"encoding/json"
	"time"

	"rempart/storage"
)

const (
	// losses is how often a write may lose its race against another node before the others are asked to wait.
	losses = 3
	// turn is how long the others wait at most; a write takes some milliseconds.
	turn = 300 * time.Millisecond
	// maxBehind is how many events may be built beside what another node wrote, before its heads are read and joined.
	maxBehind = 64
)

// turnKind is the first byte of the request for a turn among what nodes tell one another.
const turnKind = 'r'

// turnAsked asks the other nodes to let one write of this node pass.
type turnAsked struct {
	Room int64 `json:"room"`
	By   int64 `json:"by"` // of two that ask at once the smaller goes first
	At   int64 `json:"at"` // the stream's position: what the asking node writes comes behind it
}

// askTurn asks the other nodes to wait with their writes to a room.
// Why: a state event fits exactly one state of the room. Where another node writes all the time, it would lose for ever.
func (s *Service) askTurn(r *Room) {
	if r.held.Load() {
		return // it is another node's turn
	}
	r.asking.Store(s.nowMS() + turn.Milliseconds())
	body, err := json.Marshal(turnAsked{Room: r.nid, By: s.db.Node(), At: s.db.Position()})
	if err == nil {
		err = s.db.Broadcast(context.Background(), append([]byte{turnKind}, body...))
	}
	if err != nil {
		s.log.Warn("ask other nodes for a turn", "room", string(r.id), "error", err)
	}
}

// hearTurn lets a room wait for another node.
func (s *Service) hearTurn(body []byte) {
	var t turnAsked
	if len(body) == 0 || body[0] != turnKind || json.Unmarshal(body[1:], &t) != nil {
		return
	}
	r := s.rooms.byNID(t.Room)
	if r == nil || r.foreign.Load() > t.At { // Why: the write may be faster than the request
		return
	}
	if r.asking.Load() > s.nowMS() && s.db.Node() < t.By {
		return
	}
	select { // what was released before concerns another turn
	case <-r.released:
	default:
	}
	r.held.Store(true)
}

// yield waits while it is another node's turn: until that one has written, or has had its time. mu is held.
func (r *Room) yield(ctx context.Context) {
	if !r.held.Load() {
		return
	}
	r.drain()
	over := time.NewTimer(turn)
	defer over.Stop()
	select {
	case <-r.released:
	case <-over.C:
	case <-ctx.Done():
	}
	r.held.Store(false)
}

// overtaken notes that another node wrote to the room. After a message what is being built goes on beside it, for a while:
// a room is a graph. After anything else what is in memory no longer holds.
func (r *Room) overtaken(l *storage.Live) {
	if l.Kind == storage.KindEvent && l.User == 0 {
		r.moved.Store(true)
	} else {
		r.stale.Store(true)
	}
	r.foreign.Store(l.Pos)
	r.absent.clear()
	if n := r.committed.Swap(nil); n != nil {
		r.prior.Store(n)
	}
	select {
	case r.released <- struct{}{}:
	default:
	}
}

// catchUp decides, before a build, whether what another node wrote is to be read now. mu is held.
func (r *Room) catchUp() {
	if !r.moved.Load() {
		return
	}
	if r.behind++; len(r.pending) == 0 || r.behind > maxBehind {
		r.stale.Store(true)
	}
}

// upToDate reports whether all is known that other nodes wrote; where a build needs that, it must start again.
func (r *Room) upToDate() bool {
	if !r.moved.Load() {
		return true
	}
	r.stale.Store(true)
	return false
}

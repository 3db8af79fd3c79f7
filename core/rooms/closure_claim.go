package rooms

import (
	"context"
	"sync"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// maxClaims bounds the members of one room of whom we have only a server's word. Why so few: one is enough to freeze it, and whoever may
// say such things could say them without end.
const maxClaims = 100

// foundClaimed is the kind of members of whom we have only a server's word.
const foundClaimed = "claimed"

// claims are members of refused servers of whom a server in their room told us, and whose events cannot be checked: the policy
// forbids to ask their servers for keys. Why they count: a room would be open to a refused server just because it is refused. Only those
// whom the policy admits tell us anything, and they could let such a member in as well as say that they did.
type claims struct {
	mu     sync.RWMutex
	byRoom map[int64]map[matrix.UserID]bool
}

func (c *claims) of(room int64) map[matrix.ServerName]int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.byRoom[room]) == 0 {
		return nil
	}
	out := map[matrix.ServerName]int{}
	for u := range c.byRoom[room] {
		out[u.Server()]++
	}
	return out
}

func (c *claims) users(room int64) []matrix.UserID {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []matrix.UserID
	for u := range c.byRoom[room] {
		out = append(out, u)
	}
	return out
}

func (c *claims) rooms() []int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []int64
	for room := range c.byRoom {
		out = append(out, room)
	}
	return out
}

// put notes a claim, or that it is over; it reports whether that is news.
func (c *claims) put(room int64, user matrix.UserID, in bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byRoom[room][user] == in || in && len(c.byRoom[room]) >= maxClaims {
		return false
	}
	if !in {
		if delete(c.byRoom[room], user); len(c.byRoom[room]) == 0 {
			delete(c.byRoom, room)
		}
		return true
	}
	if c.byRoom == nil {
		c.byRoom = map[int64]map[matrix.UserID]bool{}
	}
	if c.byRoom[room] == nil {
		c.byRoom[room] = map[matrix.UserID]bool{}
	}
	c.byRoom[room][user] = true
	return true
}

// claim takes note of a membership that cannot be checked, of a user whose server the policy refuses.
func (s *Service) claim(ctx context.Context, e *matrix.Event) {
	if s.opts.Policy == nil || e.Type != "m.room.member" || !e.StateKeyEquals(string(e.Sender)) || s.isOurs(e.Sender.Server()) {
		return
	}
	m := e.Membership()
	if m != "join" && m != "leave" || s.opts.Policy.Judge(core.ActClosure, s.opts.Server, e.Sender.Server()) == nil {
		return
	}
	r, here, err := s.standsIn(ctx, e.RoomID)
	if err != nil || r == nil || !here {
		return
	}
	if v, err := s.Current(ctx, r); err == nil && m == "join" {
		if is, err := v.Membership(ctx, e.Sender); err == nil && is == "ban" {
			return
		}
	}
	if !s.claims.put(r.nid, e.Sender, m == "join") {
		return
	}
	c := &storage.Change{}
	c.Live(storage.Live{Kind: storage.KindRoom, Room: r.nid}) // wakes the warden, who keeps it
	if err := s.db.Commit(ctx, c); err != nil {
		s.log.ErrorContext(ctx, "note a member of a refused server", "room", r.id, "user", e.Sender, "error", err)
	}
}

// settled ends a claim by an event that could be checked: a ban, or a leave that others made, who have the join. Why not a kick of ours: it
// does not name the join, which may win over it elsewhere.
func (s *Service) settled(e *Stored) {
	if e.Type != "m.room.member" || e.StateKey == nil || s.isOurs(matrix.UserID(*e.StateKey).Server()) {
		return
	}
	if m := e.Membership(); m == "ban" || m == "leave" && !s.isOurs(e.Sender.Server()) {
		s.claims.put(e.Row.Room, matrix.UserID(*e.StateKey), false)
	}
}

package sync

import (
	"context"
	"encoding/json"
	"time"

	"rempart/internal/matrix"
)

// presenceKind is the first byte of what nodes tell one another of who is here.
const presenceKind = 'p'

// Nodes tell again who is still with them, since what is ephemeral may be lost and a node may die.
const (
	tellAgain = 5 * time.Minute
	notHeard  = 2*tellAgain + time.Minute // from then on somebody counts as gone
)

type presenceSignal struct {
	NID     int64         `json:"n"`
	User    matrix.UserID `json:"u"`
	State   string        `json:"s"`
	Message string        `json:"m,omitempty"`
	Ago     time.Duration `json:"a"`
	// Said says that the user or his client said so, not that he is no longer heard of.
	Said bool `json:"d,omitempty"`
}

// spread tells servers and nodes of a change of presence here.
func (s *Service) spread(ctx context.Context, c *presenceChange) {
	if !c.again {
		s.tellPresence(ctx, c.who, c.of)
	}
	t := presenceSignal{NID: c.who, User: c.of.user, State: c.of.state, Message: c.of.message, Said: c.said}
	t.Ago = max(0, s.now().Sub(c.of.active))
	raw, err := json.Marshal(t)
	if err == nil {
		err = s.db.Broadcast(ctx, append([]byte{presenceKind}, raw...))
	}
	if err != nil {
		s.log.Warn("tell other nodes who is here", "error", err)
	}
}

// hearPresence notes what another node tells; the ticker takes it in, since a user's rooms must be read.
func (s *Service) hearPresence(payload []byte) {
	var t presenceSignal
	if len(payload) == 0 || payload[0] != presenceKind || matrix.Decode(payload[1:], &t) != nil {
		return
	}
	select {
	case s.elsewhere <- t:
	default: // it will be told again
	}
}

// takePresence takes in who is, or is no longer, at another node.
func (s *Service) takePresence(ctx context.Context, t *presenceSignal) {
	u, err := s.remoteUser(ctx, t.NID, t.User)
	if err != nil {
		s.log.Warn("read the rooms of a user at another node", "error", err)
		return
	}
	u.node = true
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if t.State == offline && !t.Said {
		s.hub.presence.remote.forget(t.NID)
		if s.hub.tellHere(t.NID) {
			return // he is gone there, and still here
		}
	}
	message := &t.Message
	if s.hub.presence.users[t.NID] == nil && t.Message == "" {
		message = nil
	}
	before, count := s.hub.presence.remote.of[t.NID].rooms, s.hub.eph
	s.hub.setPresence(u, t.State, message, s.now().Add(-t.Ago))
	for _, j := range u.rooms {
		if _, was := findRoom(before, j.room); !was && s.hub.eph == count {
			s.hub.introduce(u, j) // nothing is new but that he came in
			count = s.hub.eph
		}
	}
}

// tellHere tells the other nodes that a user is here, if he is; mu is held.
func (h *hub) tellHere(user int64) bool {
	p := h.presence.users[user]
	if u := h.users[user]; u == nil || !u.loaded || p == nil || p.state == offline {
		return false
	}
	h.tellPresent(presenceChange{who: user, of: *p, again: true})
	return true
}

// tellPresent queues what others are to be told; false: too much waits. mu is held.
func (h *hub) tellPresent(c presenceChange) bool {
	select {
	case h.present <- c: // nil where there are no others
		return true
	default:
		return false
	}
}

// atNode reports whether another node has lately told that it has the user; mu is held.
func (r *remotePresence) atNode(user int64) bool {
	seen, ok := r.of[user]
	return ok && seen.node && r.now().Sub(seen.at) < notHeard
}

// refresh tells again who is here, and drops those of whom other nodes say nothing any more; mu is held.
func (h *hub) refresh(now time.Time) {
	for nid := range h.users {
		if p := h.presence.users[nid]; p != nil && now.Sub(p.told) >= tellAgain && h.tellHere(nid) {
			p.told = now
		}
	}
	for nid, seen := range h.presence.remote.of {
		if !seen.node || now.Sub(seen.at) < notHeard {
			continue
		}
		h.presence.remote.forget(nid)
		if p := h.presence.users[nid]; p != nil && h.users[nid] == nil {
			h.setPresence(&hubUser{nid: nid, id: p.user, rooms: seen.rooms, remote: true, node: true}, offline, nil, now)
		}
	}
}

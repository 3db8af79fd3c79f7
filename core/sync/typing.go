package sync

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of how long one call says that somebody types.
const (
	minTyping = time.Second
	maxTyping = 2 * time.Minute
	anyTyping = 30 * time.Second // where the client does not say
)

// SetTyping notes that a user types in a room, or no longer does. It is kept in memory and told to who is in the room.
// Spec: client-server-api/#typing-notifications
func (s *Service) SetTyping(ctx context.Context, c *matrix.Caller, id matrix.RoomID, typing bool, timeout time.Duration) error {
	room, err := s.memberRoom(ctx, c, id)
	if err != nil {
		return err
	}
	if c.ShadowBanned {
		return nil
	}
	if timeout <= 0 {
		timeout = anyTyping
	}
	s.tellRoom(ctx, room, c.User.Server(), "t "+string(id)+" "+string(c.User), eduTyping, typingEDU{id, c.User, typing})
	timeout = min(max(timeout, minTyping), maxTyping)
	s.tellTyping(typingSignal{room.NID(), c.User, typing, timeout}) //nolint:contextcheck // what is said reaches the other nodes, even when who said it has gone
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.setTyping(room.NID(), c.User, typing, s.now().Add(timeout))
	return nil
}

// typingKind is the first byte of what nodes tell one another of who types.
const typingKind = 't'

type typingSignal struct {
	Room    int64         `json:"r"`
	User    matrix.UserID `json:"u"`
	Typing  bool          `json:"t"`
	Timeout time.Duration `json:"d"`
}

func (s *Service) tellTyping(t typingSignal) {
	raw, err := json.Marshal(t)
	if err == nil {
		err = s.db.Broadcast(context.Background(), append([]byte{typingKind}, raw...))
	}
	if err != nil && s.log != nil {
		s.log.Warn("tell other nodes who types", "error", err)
	}
}

// hearTyping takes in who types at another node.
func (s *Service) hearTyping(payload []byte) {
	var t typingSignal
	if len(payload) == 0 || payload[0] != typingKind || matrix.Decode(payload[1:], &t) != nil {
		return
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.hub.rooms[t.Room] != nil { // else nobody here follows it
		s.hub.setTyping(t.Room, t.User, t.Typing, s.now().Add(min(t.Timeout, maxTyping)))
	}
}

// setTyping changes who types in a room; mu is held.
func (h *hub) setTyping(room int64, user matrix.UserID, typing bool, until time.Time) {
	r := h.room(room)
	_, was := r.typists[user]
	if typing {
		if r.typists == nil {
			r.typists = map[matrix.UserID]time.Time{}
		}
		r.typists[user] = until
		h.typing[room] = r
	} else {
		delete(r.typists, user)
	}
	// Why also the first word that somebody does not type: the followers may still see him type, as of before this process began.
	if was != typing || !typing && r.typed == 0 {
		h.typed(r)
	}
}

// typed tells the followers of a room that who types has changed; mu is held.
func (h *hub) typed(r *hubRoom) {
	h.tick()
	r.typed = h.eph
	if h.watch != nil {
		h.watch.Typing(r.nid, r.typistsOf())
	}
	for _, u := range r.online {
		u.eph = h.eph
		u.stirTyping(r.nid, h.eph)
	}
	h.wakeCalm(r)
}

// endTyping drops those whose time is over; mu is held.
func (h *hub) endTyping(now time.Time) {
	for nid, r := range h.typing {
		before := len(r.typists)
		for user, until := range r.typists {
			if now.After(until) {
				delete(r.typists, user)
			}
		}
		if len(r.typists) != before {
			h.typed(r)
		}
		if len(r.typists) == 0 {
			delete(h.typing, nid)
		}
	}
}

// endAllTyping drops everybody: the next process will not know of them, and who waits is told by this one.
func (h *hub) endAllTyping(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endTyping(now.Add(2 * maxTyping))
}

// typistsOf lists who types, sorted; mu is held.
func (r *hubRoom) typistsOf() []matrix.UserID {
	out := make([]matrix.UserID, 0, len(r.typists))
	for user := range r.typists {
		out = append(out, user)
	}
	slices.Sort(out)
	return out
}

// memberOf refuses who is not in a room.
func (s *Service) memberOf(ctx context.Context, user, room int64) error {
	m, err := s.db.FindMembership(ctx, user, room)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if m.Membership != storage.MemberJoin {
		return matrix.Forbidden("You are not in this room.")
	}
	return nil
}

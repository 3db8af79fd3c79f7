package sync

import (
	"context"
	"strconv"
	"time"

	"rempart/internal/matrix"
)

// The states of presence. Spec: client-server-api/#presence
const (
	online      = "online"
	unavailable = "unavailable"
	offline     = "offline"
)

// presence is what is known of a user who is or was here. It lives in memory only.
type presence struct {
	user    matrix.UserID
	state   string
	message string
	active  time.Time
	changed int64     // ephemeral count
	told    time.Time // when other nodes were told of it
}

// presences holds who is here and the last changes. It is guarded by hub.mu.
type presences struct {
	users map[int64]*presence
	ring  []presenceChange
	// remote finds users of other servers.
	remote remotePresence
}

// presenceChange says whose presence changed, and who may hear of it: those in the same small rooms.
type presenceChange struct {
	count int64
	who   int64
	of    presence
	rooms []joinedRoom
	// again says that it is told again; said that the user said so himself.
	again, said bool
}

func newPresences() presences { return presences{users: map[int64]*presence{}} }

// setPresence notes a user's presence and wakes those in his small rooms when it changed; mu is held.
func (h *hub) setPresence(u *hubUser, state string, message *string, now time.Time) {
	p := h.presence.users[u.nid]
	if p == nil {
		if state == offline && message == nil {
			return
		}
		p = &presence{user: u.id, state: offline}
		h.presence.users[u.nid] = p
	}
	if state != offline {
		p.active = now
	}
	if u.remote {
		h.presence.remote.note(u, state == offline)
	}
	if p.state == state && (message == nil || p.message == *message) {
		if !u.remote && p.told.IsZero() && h.tellPresent(presenceChange{who: u.nid, of: *p, again: true}) {
			p.told = now // known by another node: now he is here
		}
		return
	}
	h.tick()
	p.state, p.changed = state, h.eph
	if message != nil {
		p.message = *message
	}
	change := presenceChange{count: h.eph, who: u.nid, of: *p, rooms: u.rooms, said: message != nil}
	h.presence.add(change)
	if h.watch != nil {
		h.watch.Presence(p.user, p.event(now), roomsOf(u.rooms))
	}
	if !u.remote && h.tellPresent(change) {
		p.told = now
	}
	if p.state == offline && p.message == "" {
		delete(h.presence.users, u.nid)
	}
	u.eph = h.eph
	u.shown = u.stale
	for _, j := range u.rooms {
		h.spreadPresence(j.room)
	}
}

// introduce tells those in a room of the presence of who came in, here and at other nodes; mu is held.
func (h *hub) introduce(u *hubUser, into joinedRoom) {
	if p := h.presence.users[u.nid]; p != nil {
		h.tick()
		h.presence.add(presenceChange{count: h.eph, who: u.nid, of: *p, rooms: []joinedRoom{into}})
		h.spreadPresence(into.room)
		if !u.remote {
			h.tellPresent(presenceChange{who: u.nid, of: *p, again: true})
		}
	}
}

// tick counts one more change of what lives in memory only; mu is held. Why by the clock: a token may come from another node, and counts
// of both then mean about the same.
func (h *hub) tick() { h.eph = max(h.eph+1, h.presence.remote.now().UnixMilli()) }

// add remembers a change; when there are too many the older half goes.
func (p *presences) add(c presenceChange) {
	if len(p.ring) >= presenceRing {
		p.ring = append([]presenceChange(nil), p.ring[presenceRing/2:]...)
	}
	p.ring = append(p.ring, c)
}

func (h *hub) spreadPresence(room int64) {
	if r := h.rooms[room]; r != nil && !r.large() {
		for _, other := range r.online {
			other.eph = h.eph
			other.wake()
		}
	}
}

// presenceFor lists whose presence the user must hear of; mu is held. all: everybody in his small rooms, besides what
// changed since an ephemeral count.
//
//nolint:gocyclo // who is told of whom, case by case
func (h *hub) presenceFor(u *hubUser, since matrix.SyncToken, all bool) []presence {
	seen := map[int64]presence{}
	if len(h.presence.ring) >= presenceRing/2 && h.presence.ring[0].count > since.Ephemeral {
		all = true // what is remembered does not reach that far back
	}
	for i := len(h.presence.ring) - 1; i >= 0 && h.presence.ring[i].count > since.Ephemeral; i-- {
		c := &h.presence.ring[i]
		if _, newer := seen[c.who]; !newer && (c.who == u.nid || h.shareSmall(u.rooms, c.rooms)) {
			seen[c.who] = c.of
		}
	}
	for _, j := range u.rooms {
		r := h.rooms[j.room]
		if r == nil || r.large() || !all && j.pos <= since.Pos && r.members <= since.Pos {
			continue
		}
		for _, other := range r.online {
			at, _ := other.find(j.room)
			if p := h.presence.users[other.nid]; p != nil && (all || j.pos > since.Pos || at.pos > since.Pos) {
				seen[other.nid] = *p
			}
		}
		if all || j.pos > since.Pos {
			h.addRemote(j.room, seen)
		}
	}
	out := make([]presence, 0, len(seen))
	for _, p := range seen {
		out = append(out, p)
	}
	return out
}

// shareSmall reports whether two sorted lists have a small room in common.
func (h *hub) shareSmall(a, b []joinedRoom) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].room < b[0].room:
			a = a[1:]
		case a[0].room > b[0].room:
			b = b[1:]
		default:
			if r := h.rooms[a[0].room]; r != nil && !r.large() {
				return true
			}
			a, b = a[1:], b[1:]
		}
	}
	return false
}

// appendContent writes the content of m.presence.
func (p *presence) appendContent(dst []byte, now time.Time) []byte {
	dst = matrix.AppendJSONString(append(dst, `{"presence":`...), p.state)
	if !p.active.IsZero() {
		dst = strconv.AppendInt(append(dst, `,"last_active_ago":`...), max(0, now.Sub(p.active).Milliseconds()), 10)
	}
	if p.message != "" {
		dst = matrix.AppendJSONString(append(dst, `,"status_msg":`...), p.message)
	}
	return strconv.AppendBool(append(dst, `,"currently_active":`...), p.state == online) // closed by the caller
}

// event is a whole m.presence event.
func (p *presence) event(now time.Time) []byte {
	dst := matrix.AppendJSONString([]byte(`{"type":"m.presence","sender":`), p.user)
	return append(p.appendContent(append(dst, `,"content":`...), now), `}}`...)
}

func roomsOf(list []joinedRoom) []int64 {
	out := make([]int64, len(list))
	for i, j := range list {
		out[i] = j.room
	}
	return out
}

// SetPresence notes what a user says of himself. Spec: client-server-api/#put_matrixclientv3presenceuseridstatus
func (s *Service) SetPresence(ctx context.Context, c *matrix.Caller, state, message string) error {
	if state != online && state != offline && state != unavailable {
		return matrix.InvalidParam("The presence must be online, offline or unavailable.")
	}
	if len(message) > 1024 {
		return matrix.InvalidParam("The status message is longer than 1024 bytes.")
	}
	u, err := s.follow(ctx, c, false)
	if err != nil {
		return err
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.setPresence(u, state, &message, s.now())
	return nil
}

// Presence is the content of a user's presence, for himself and those who share a room with him.
func (s *Service) Presence(ctx context.Context, c *matrix.Caller, user matrix.UserID) ([]byte, error) {
	nid, err := s.db.FindUserNID(ctx, user)
	if err != nil {
		return nil, matrix.NotFound("There is no such user.").Wrap(err)
	}
	if nid != c.UserNID {
		if shared, err := s.db.ShareRoom(ctx, nid, c.UserNID); err != nil {
			return nil, err
		} else if !shared {
			return nil, matrix.Forbidden("You share no room with this user.")
		}
		if err := s.border.Admit(ctx, user.Server(), c.User.Server(), eduPresence); err != nil {
			return nil, err
		}
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	p := presence{state: offline}
	if known := s.hub.presence.users[nid]; known != nil {
		p = *known
	}
	return append(p.appendContent(nil, s.now()), '}'), nil
}

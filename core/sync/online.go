package sync

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// follow makes a user's rooms known to the hub and keeps them so while he syncs. listed: his list of rooms is wanted next.
func (s *Service) follow(ctx context.Context, c *matrix.Caller, listed bool) (*hubUser, error) {
	h := s.hub
	h.mu.Lock()
	u := h.user(c)
	u.used = s.now()
	ready := u.loaded && !u.stale
	h.mu.Unlock()
	if ready {
		return u, nil
	}
	return u, s.loadRooms(ctx, u, listed)
}

// user is the entry of who asks; mu is held.
func (h *hub) user(c *matrix.Caller) *hubUser {
	u := h.users[c.UserNID]
	if u == nil {
		u = &hubUser{nid: c.UserNID, id: c.User, marks: map[int64]*mark{}, devices: map[int64]*device{}}
		h.users[c.UserNID] = u
	}
	return u
}

// loadRooms reads which rooms the user is in and enters him among their followers. listed: how he stands to all of them is
// read at once, and kept for the list that is about to be made of it.
func (s *Service) loadRooms(ctx context.Context, u *hubUser, listed bool) error {
	u.loading.Lock()
	defer u.loading.Unlock()
	h := s.hub
	h.mu.Lock()
	if u.loaded && !u.stale {
		h.mu.Unlock()
		return nil
	}
	first, pos, read := !u.loaded, h.pos, &standings{floor: h.floor, moves: u.moves}
	h.mu.Unlock()
	var rows []storage.JoinedRoom
	var err error
	if listed {
		read.rows, err = s.db.ListStandings(ctx, u.nid, read.floor)
		rows = read.joined()
	} else {
		rows, err = s.db.ListJoinedPositions(ctx, u.nid)
	}
	if err == nil {
		// Why: what was read may be newer than what the hub has heard. A room that he has left by then would be missing in an answer
		// from before that, with all that was said there. Once the hub has heard of it, the list is stale.
		err = s.db.CatchUp(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		return err
	}
	came := h.enter(u, rows)
	if u.standings = nil; listed {
		u.standings = read
	}
	// Why not before: until here another of the user's syncs would take the old list for the present one.
	u.stale = u.moves != read.moves
	if first {
		u.since, u.loaded = pos, true
	}
	for _, j := range came {
		if u.shown || h.metUnseen(u, j) {
			h.introduce(u, j)
		}
	}
	u.shown = false
	if first || len(came) > 0 {
		// Why: what was told to the followers of his rooms before he was one of them was not told to him, also where another node
		// has let him know already that he is in a room.
		u.lists, u.last, u.eph = h.pos, h.pos, h.eph
		if u.stirs != nil {
			u.stirs.typingFrom = h.eph
		}
	}
	return nil
}

// metUnseen reports whether somebody came into a room after the user, who was not among its followers then: that he came had been told before, and
// whoever came then did not find him; mu is held.
func (h *hub) metUnseen(u *hubUser, in joinedRoom) bool {
	r := h.rooms[in.room]
	return !r.large() && slices.ContainsFunc(r.online, func(other *hubUser) bool {
		at, _ := other.find(in.room)
		return other != u && at.pos > in.pos
	})
}

// enter moves the user from the followers of rooms he left to those of rooms he joined, and lists these; mu is held.
func (h *hub) enter(u *hubUser, rows []storage.JoinedRoom) (came []joinedRoom) {
	fresh := make([]joinedRoom, len(rows))
	for i, row := range rows {
		fresh[i] = joinedRoom{row.Room, row.Pos}
		if _, known := u.find(row.Room); known {
			continue
		}
		r := h.room(row.Room)
		if len(r.online) == 0 {
			r.dropTail(h, h.pos)
		}
		r.online, came = append(r.online, u), append(came, fresh[i])
	}
	for _, j := range u.rooms {
		if _, still := findRoom(fresh, j.room); !still {
			h.leaveRoom(u, j.room)
		}
	}
	u.rooms = fresh
	return came
}

// find is the user's place in a room as of the last load.
func (u *hubUser) find(room int64) (joinedRoom, bool) { return findRoom(u.rooms, room) }

func findRoom(list []joinedRoom, room int64) (joinedRoom, bool) {
	i, ok := slices.BinarySearchFunc(list, room, func(j joinedRoom, n int64) int { return cmp.Compare(j.room, n) })
	if !ok {
		return joinedRoom{}, false
	}
	return list[i], true
}

func (h *hub) leaveRoom(u *hubUser, room int64) {
	r := h.rooms[room]
	if r == nil {
		return
	}
	if i := slices.Index(r.online, u); i >= 0 {
		last := len(r.online) - 1
		r.online[i], r.online[last] = r.online[last], nil
		r.online = r.online[:last]
	}
	if len(r.online) == 0 {
		r.dropTail(h, h.pos)
	}
}

// wait enters a channel that is written to when the user may have news; leave takes it out again. Until then he is not forgotten, so that
// his entry stays the same; it may be another than before.
func (h *hub) wait(c *matrix.Caller) (u *hubUser, woken chan struct{}, leave func(now time.Time)) {
	w := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	u = h.user(c)
	u.waiters = append(u.waiters, w)
	return u, w, func(now time.Time) {
		h.mu.Lock()
		defer h.mu.Unlock()
		u.used = now
		if i := slices.Index(u.waiters, w); i >= 0 {
			u.waiters = slices.Delete(u.waiters, i, i+1)
		}
	}
}

// idle reports whether the user has not synced for a while; mu is held.
func (u *hubUser) idle(now time.Time) bool {
	return len(u.waiters) == 0 && now.Sub(u.used) >= onlineFor
}

// gone forgets the users who have not synced for a while; mu is held.
func (h *hub) gone(now time.Time) {
	for nid, u := range h.users {
		if !u.idle(now) {
			continue
		}
		if !u.loading.TryLock() {
			continue
		}
		if p := h.presence.users[nid]; p != nil && h.presence.remote.atNode(nid) {
			gone := *p
			gone.state, p.told = offline, time.Time{}
			h.tellPresent(presenceChange{who: nid, of: gone, again: true}) // who has him says so
		} else {
			h.setPresence(u, offline, nil, now)
		}
		for _, j := range u.rooms {
			h.leaveRoom(u, j.room)
		}
		u.rooms, u.loaded = nil, false
		delete(h.users, nid)
		u.loading.Unlock()
	}
}

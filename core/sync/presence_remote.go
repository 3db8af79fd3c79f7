package sync

import "time"

// Bounds of what is kept of the presence of users of other servers.
const (
	maxRemotePresence = 50_000
	remotePresenceOld = 30 * time.Minute // so long it counts without being told again
	maxPresenceRooms  = 200              // rooms of one user by which it is found
)

// remotePresence finds users of other servers by the rooms that they were in when their presence was told. Guarded by hub.mu.
type remotePresence struct {
	byRoom map[int64]map[int64]struct{} // room to users
	of     map[int64]remoteSeen
	now    func() time.Time
}

type remoteSeen struct {
	rooms []joinedRoom
	at    time.Time
	node  bool // told by another node
}

// note remembers where a user is; it forgets him when he is gone.
func (r *remotePresence) note(u *hubUser, gone bool) {
	r.forget(u.nid)
	if gone || len(r.of) >= maxRemotePresence {
		return
	}
	if r.of == nil {
		r.of, r.byRoom = map[int64]remoteSeen{}, map[int64]map[int64]struct{}{}
	}
	seen := remoteSeen{u.rooms[:min(len(u.rooms), maxPresenceRooms)], r.now(), u.node}
	r.of[u.nid] = seen
	for _, j := range seen.rooms {
		if r.byRoom[j.room] == nil {
			r.byRoom[j.room] = map[int64]struct{}{}
		}
		r.byRoom[j.room][u.nid] = struct{}{}
	}
}

func (r *remotePresence) forget(user int64) {
	for _, j := range r.of[user].rooms {
		if delete(r.byRoom[j.room], user); len(r.byRoom[j.room]) == 0 {
			delete(r.byRoom, j.room)
		}
	}
	delete(r.of, user)
}

// addRemote adds the presence of the users of other servers in a small room to what a user must hear of; mu is held.
func (h *hub) addRemote(room int64, into map[int64]presence) {
	for nid := range h.presence.remote.byRoom[room] {
		p := h.presence.users[nid]
		if _, newer := into[nid]; p != nil && !newer && h.presence.remote.now().Sub(h.presence.remote.of[nid].at) < remotePresenceOld {
			into[nid] = *p
		}
	}
}

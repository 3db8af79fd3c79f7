package sync

import "rempart/storage"

// maxStirs bounds what is noted between two looks of a user; beyond it his list of rooms is read anew.
const maxStirs = 1024

// stirs are notes on what moved in the rooms of a user who uses sliding sync. hub.mu guards them.
type stirs struct {
	rooms []stir
	// lost says that some were not noted.
	lost bool
	last int64 // position of the last note
	// direct and tags are the positions of the last change of the user's direct rooms and of his tags.
	direct, tags int64
	// typing are the rooms in which somebody began or ceased to type, by the hub's count; complete behind typingFrom.
	typing     []stir
	typingFrom int64
}

// stir says that something came in a room.
type stir struct {
	room, pos int64
	active    bool // an event
	traits    bool // perhaps something that filters look at
}

// shapes reports whether filters look at state of a type.
func shapes(typ string) bool {
	return typ == "m.room.encryption" || typ == "m.space.child" || typ == "m.room.create"
}

// stir notes that something came, for all followers of the room who use sliding sync; hub.mu is held.
func (r *hubRoom) stir(x stir) {
	for _, u := range r.online {
		if u.stirs != nil {
			u.stirs.add(x)
		}
	}
}

func (n *stirs) add(x stir) {
	n.last = x.pos
	if len(n.rooms) >= maxStirs {
		n.rooms, n.lost = nil, true
	}
	if !n.lost {
		n.rooms = append(n.rooms, x)
	}
}

// stirAccount notes a change of the user's own data; hub.mu is held.
func (u *hubUser) stirAccount(l *storage.Live) {
	if u.stirs == nil {
		return
	}
	row, _ := l.Value.(*storage.AccountDataRow)
	if row == nil || row.Type == directType {
		u.stirs.direct = l.Pos
	}
	if row == nil || row.Type == tagType {
		u.stirs.tags = l.Pos
	}
	if l.Room != 0 {
		u.stirs.add(stir{room: l.Room, pos: l.Pos})
	}
}

// stirTyping notes that who types in a room changed; hub.mu is held.
func (u *hubUser) stirTyping(room, count int64) {
	n := u.stirs
	if n == nil {
		return
	}
	if len(n.typing) >= maxStirs {
		cut := maxStirs / 2
		n.typingFrom = n.typing[cut-1].pos
		n.typing = append(make([]stir, 0, maxStirs), n.typing[cut:]...)
	}
	n.typing = append(n.typing, stir{room: room, pos: count})
}

// typedSince lists the rooms of a user in which who types changed behind a count; mu is held. Where the notes do not reach back so far,
// since he was away, all his rooms are looked at.
func (h *hub) typedSince(u *hubUser, count int64) map[int64]bool {
	n := u.stirs
	var out map[int64]bool
	if count < n.typingFrom {
		out = map[int64]bool{}
		for _, j := range u.rooms {
			if r := h.rooms[j.room]; r != nil && r.typed > count {
				out[j.room] = true
			}
		}
		return out
	}
	for i := len(n.typing) - 1; i >= 0 && n.typing[i].pos > count; i-- {
		if out == nil {
			out = map[int64]bool{}
		}
		out[n.typing[i].room] = true
	}
	return out
}

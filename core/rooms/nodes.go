package rooms

import "rempart/storage"

// maxBehind is how many events may be built beside what another node wrote, before its heads are read and joined.
const maxBehind = 64

// overtaken notes that another node wrote to the room. After a message what is being built goes on beside it, for a while:
// a room is a graph. After anything else what is in memory no longer holds.
func (r *Room) overtaken(l *storage.Live) {
	if l.Kind == storage.KindEvent && l.User == 0 {
		r.moved.Store(true)
	} else {
		r.stale.Store(true)
	}
	r.absent.clear()
	r.hide()
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

package sync

import (
	"sync"
	"time"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Limits of what the hub keeps.
const (
	maxHubRooms  = 200_000          // entries of rooms
	tailEvents   = 64               // events kept of a room that somebody follows
	tailBudget   = 48 << 20         // bytes of all tails together, about
	calmSize     = 50               // above so many members receipts, typing and presence wake at most once a second
	onlineFor    = 90 * time.Second // how long a user counts as following his rooms after his last sync
	presenceRing = 1024             // changes of presence that are remembered
)

// hub is what is known in memory. See the package's documentation for its locks.
type hub struct {
	mu sync.Mutex
	// pos is the last position heard of. A room without an entry has not moved since floor.
	pos, floor int64
	// eph counts what lives in memory only: typing and presence. It grows across restarts, being a time at first.
	eph   int64
	rooms map[int64]*hubRoom
	// present takes changes of presence for other servers and nodes; nil where there are none.
	present chan<- presenceChange
	// watch hears of typing and presence; nil where nobody wants to.
	watch core.Watcher
	users map[int64]*hubUser
	// calm are large rooms whose followers are due to be woken by the next tick.
	calm map[int64]*hubRoom
	// typing are the rooms in which somebody types.
	typing map[int64]*hubRoom
	tailed int64 // bytes in all tails
	// lists are users whose device lists changed while their rooms were not in memory.
	lists []int64
	// unspread is how many changes of device lists are not yet told to those who share a room.
	unspread int
	presence presences
	sticky   stickyRooms
	kick     chan struct{} // wakes the ticker
}

// hubRoom is what the hub knows of a room. Positions are those of the last such thing, 0 for none since the floor.
type hubRoom struct {
	nid                            int64
	last, active                   int64 // anything that a member may see; an event
	members, receipts, state, hits int64
	typed                          int64 // ephemeral count of the last change of typing
	notify, tnotify                int64 // running counts, when counted
	counted                        bool
	online                         []*hubUser
	tail                           []*tailEvent
	tailFrom                       int64 // the tail holds all events behind this position
	typists                        map[matrix.UserID]time.Time
	summary                        *summary // nil: to be read
	summaries                      int64    // grows each time the summary is dropped
	size                           int64    // members, as of the last summary
	bump                           int64    // position of the last event that counts as activity; 0: not known
}

// joinedRoom is a room that a user is in, and since when.
type joinedRoom struct{ room, pos int64 }

// hubUser is what the hub knows of a user who syncs. Positions are complete from since on.
type hubUser struct {
	nid     int64
	id      matrix.UserID
	loading sync.Mutex // held while the rooms are read
	remote  bool       // of another server, or node: only presence knows him
	node    bool       // of another node

	since                                          int64
	loaded, stale                                  bool
	shown                                          bool         // those in rooms that his list lacks may not know his presence
	moves                                          int64        // counts what made the list of rooms stale
	rooms                                          []joinedRoom // by number
	last                                           int64        // anything that concerns the user beside his rooms
	membership, account, toDevice, lists, keyCount int64
	eph                                            int64
	waiters                                        []chan struct{}
	used                                           time.Time
	ignored                                        map[matrix.UserID]bool // nil: to be read
	marks                                          map[int64]*mark
	unmarked                                       int64      // grows each time a mark is dropped
	stirs                                          *stirs     // nil: he does not use sliding sync
	slide                                          *slide     // likewise
	standings                                      *standings // read with the rooms for the list that is about to be made
	kept                                           int64      // position at which his list of rooms was last stored from here
	keptAt                                         time.Time  // and when
	devices                                        map[int64]*device
}

func newHub(pos int64, now time.Time) *hub {
	return &hub{pos: pos, floor: pos, eph: now.UnixMilli(), rooms: map[int64]*hubRoom{}, users: map[int64]*hubUser{},
		calm: map[int64]*hubRoom{}, typing: map[int64]*hubRoom{}, presence: newPresences(),
		sticky: stickyRooms{until: map[int64]int64{}}, kick: make(chan struct{}, 1)}
}

// room is the entry of a room; mu is held.
func (h *hub) room(nid int64) *hubRoom {
	r := h.rooms[nid]
	if r == nil {
		if len(h.rooms) >= maxHubRooms {
			h.evict()
		}
		r = &hubRoom{nid: nid, tailFrom: h.pos}
		h.rooms[nid] = r
	}
	return r
}

// evict forgets the rooms that nobody follows: from now on they may have moved at any position up to the floor.
func (h *hub) evict() {
	for nid, r := range h.rooms {
		if len(r.online) == 0 && len(r.typists) == 0 {
			h.floor = max(h.floor, r.last)
			delete(h.rooms, nid)
			delete(h.calm, nid)
		}
	}
}

// hear takes in a batch that was committed. The committer calls it in stream order; it never blocks.
func (h *hub) hear(b storage.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range b.Lives {
		h.hearLive(&b.Lives[i])
	}
	h.pos = max(h.pos, b.To)
}

func (h *hub) hearLive(l *storage.Live) {
	switch l.Kind {
	case storage.KindEvent:
		h.hearEvent(l)
	case storage.KindState, storage.KindMembership:
		r := h.room(l.Room)
		r.last, r.state, r.members = l.Pos, l.Pos, l.Pos
		r.stir(stir{room: r.nid, pos: l.Pos, traits: true})
		r.dropSummary()
		r.wake()
		h.hearMembership(l)
	case storage.KindReceipt:
		h.hearReceipt(l)
	case storage.KindSticky:
		h.sticky.hear(l, time.Now().UnixMilli())
	case storage.KindDeviceList:
		h.hearDeviceList(l)
	case storage.KindRedaction:
		h.hearRedaction(l)
	case storage.KindRoom:
		r := h.room(l.Room)
		r.dropTail(h, l.Pos)
		r.stir(stir{room: r.nid, pos: l.Pos, traits: true})
		for _, u := range r.online {
			u.outdate() // the room may be gone
		}
	case storage.KindAccountData, storage.KindToDevice, storage.KindKeyCount, storage.KindForget, storage.KindThreads:
		if u := h.users[l.User]; u != nil {
			u.hear(l)
		}
	}
}

// hearRedaction forgets the event that was redacted, or all where it is not known which; mu is held.
// Why besides the redaction's own entry: it may have none here, as one that came with history, or be written by another node.
func (h *hub) hearRedaction(l *storage.Live) {
	r := h.rooms[l.Room]
	if r == nil {
		return
	}
	if target, ok := l.Value.(matrix.EventID); ok {
		r.forgetTail(h, target)
		return
	}
	r.dropTail(h, l.Pos)
}

// outdate notes that the list of rooms must be read again; mu is held.
func (u *hubUser) outdate() {
	u.stale = true
	u.moves++
}

// hear notes what concerns the user alone.
func (u *hubUser) hear(l *storage.Live) {
	switch l.Kind {
	case storage.KindAccountData:
		u.account, u.ignored = l.Pos, nil
		u.stirAccount(l)
	case storage.KindToDevice:
		u.toDevice = l.Pos
	case storage.KindKeyCount:
		u.keyCount = l.Pos
		for _, d := range u.devices {
			d.keys = nil
		}
	case storage.KindForget:
		return
	}
	u.last = l.Pos
	u.wake()
}

func (h *hub) hearEvent(l *storage.Live) {
	r := h.room(l.Room)
	r.last, r.active = l.Pos, l.Pos
	e, _ := l.Value.(*rooms.Stored)
	if e == nil { // another node's: its content is in storage
		for _, u := range r.online {
			u.unmark(r.nid)
		}
		r.counted, r.hits, r.members, r.state, r.bump = false, l.Pos, l.Pos, l.Pos, 0
		r.dropSummary()
		r.dropTail(h, l.Pos)
	} else {
		r.hearStored(h, l.Pos, e)
	}
	r.stir(stir{room: r.nid, pos: l.Pos, active: true, traits: e == nil || e.IsState() && shapes(e.Type)})
	r.wake()
	if l.User != 0 {
		h.hearMembership(l)
	}
}

func (r *hubRoom) hearStored(h *hub, pos int64, e *rooms.Stored) {
	r.notify, r.tnotify, r.counted = e.Row.Notify, e.Row.TNotify, true
	if sender := h.users[e.Row.Sender]; sender != nil {
		sender.readOwn(r.nid, pos, e)
	}
	if e.Row.Flags&storage.FlagHits != 0 {
		r.hits = pos
	}
	if r.bump != 0 && bumps(e.Type) {
		r.bump = pos
	}
	if e.Type == "m.room.member" {
		r.members = pos
		r.dropSummary()
	}
	if e.IsState() && (e.Type == "m.room.name" || e.Type == "m.room.canonical_alias") {
		r.members = pos // Why: a room that loses its name needs heroes
		r.dropSummary()
	}
	if len(r.online) > 0 {
		r.addTail(h, pos, e)
	}
}

// hearMembership notes that a user came into a room or went.
func (h *hub) hearMembership(l *storage.Live) {
	if u := h.users[l.User]; u != nil && l.User != 0 {
		u.membership, u.last = l.Pos, l.Pos
		u.outdate()
		u.unmark(l.Room)
		u.wake()
		switch e, ok := l.Value.(*rooms.Stored); {
		case ok && e.Membership() == "join":
			h.introduce(u, joinedRoom{l.Room, l.Pos})
		case !ok:
			u.shown = true // another node's: he is introduced when his rooms are read
		}
	}
}

func (h *hub) hearReceipt(l *storage.Live) {
	r := h.room(l.Room)
	r.receipts, r.last = l.Pos, l.Pos
	r.stir(stir{room: r.nid, pos: l.Pos})
	if u := h.users[l.User]; u != nil {
		u.unmark(l.Room)
		u.wake()
	}
	if row, ok := l.Value.(*storage.ReceiptRow); !ok || row.Type == readPublic {
		h.wakeCalm(r)
	}
}

// hearDeviceList wakes who shares a room with a user. When his rooms are not in memory, or not all of them since he has just
// come into one, the ticker reads them.
func (h *hub) hearDeviceList(l *storage.Live) {
	u := h.users[l.User]
	if u != nil {
		u.lists, u.last = l.Pos, l.Pos
		u.wake()
	}
	if u == nil || !u.loaded || u.stale {
		h.lists = append(h.lists, l.User)
		h.unspread++
		h.rouse()
		return
	}
	for _, j := range u.rooms {
		h.spreadList(j.room, l.Pos)
	}
}

// spreadList tells the followers of a room that a device list of one of its members changed.
func (h *hub) spreadList(room, pos int64) {
	if r := h.rooms[room]; r != nil {
		for _, other := range r.online {
			other.lists, other.last = max(other.lists, pos), max(other.last, pos)
			other.wake()
		}
	}
}

// unmark forgets how far the user has read a room.
func (u *hubUser) unmark(room int64) {
	delete(u.marks, room)
	u.unmarked++
}

// readOwn notes that the user has read what he sends: the same as the receipt of his own that is stored with it, so that nothing need be
// read again for who talks.
func (u *hubUser) readOwn(room, pos int64, e *rooms.Stored) {
	m := u.marks[room]
	u.unmark(room) // also for whoever reads a mark right now, without this event
	if m == nil || e.Row.Thread != 0 || e.Type == "m.room.member" || e.Row.Flags&storage.FlagLocal == 0 {
		return
	}
	on := *m
	on.main = later(m.main, reading{pos, e.Row.Notify, e.Row.TNotify})
	u.marks[room] = &on
}

func (r *hubRoom) dropSummary() {
	r.summary = nil
	r.summaries++
}

// wake rouses all who wait on behalf of the user. A waiter that is roused twice before it looks wakes once.
func (u *hubUser) wake() {
	for _, w := range u.waiters {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// wakeAll rouses everybody.
func (h *hub) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.users {
		u.wake()
	}
}

func (r *hubRoom) wake() {
	for _, u := range r.online {
		u.wake()
	}
}

// wakeCalm wakes the followers of a small room at once, those of a large one at the next tick.
func (h *hub) wakeCalm(r *hubRoom) {
	if !r.large() {
		r.wake()
		return
	}
	h.calm[r.nid] = r
	h.rouse()
}

// large reports whether the room has more members than calmSize, as far as is known.
func (r *hubRoom) large() bool {
	return len(r.online) > calmSize || r.size > calmSize
}

// rouse makes the ticker look after what is due.
func (h *hub) rouse() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

package sync

import (
	"context"
	"slices"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// build makes one answer. It belongs to one goroutine.
type build struct {
	s   *Service
	ctx context.Context //nolint:containedctx // Why: a build is one request; it ends with it
	c   *matrix.Caller
	u   *hubUser
	q   *Request
	f   *Filter
	now time.Time

	initial bool
	from    matrix.SyncToken // zero when initial
	head    int64
	eph     int64
	// knownUser and knownRooms say that the hub's facts about the user and about rooms reach back to the token.
	knownUser, knownRooms bool
	facts                 userFacts
	moved                 []*roomView // joined rooms that may have news, by number
	presence              []presence
	keys                  *keyCounts

	ignored  map[matrix.UserID]bool
	account  map[int64][]storage.AccountData // by room, 0: global
	toDevice int64                           // for the next token
	sent     []lazyKey                       // members that this answer brings
	received int64                           // position of the last message to the device in this answer
	parted   bool                            // the user has left a room since the token
	early    map[int64]*earlyRoom            // what was read ahead, by room

	buf   *[]byte
	out   []byte
	found bool
}

// userFacts are the hub's facts about the user as of the beginning.
type userFacts struct{ membership, account, toDevice, lists, keyCount, unmarked int64 }

// roomView is what the hub knew of a room when the build began.
type roomView struct {
	joinedRoom
	r                              *rooms.Room
	last                           int64
	members, receipts, state, hits int64
	typed                          int64
	typists                        []matrix.UserID
	notify, tnotify                int64
	counted                        bool
	tail                           []*tailEvent
	tailFrom                       int64
	summary                        *summary
	summaries                      int64
	bump                           int64
	newly                          bool // joined since the token: everything is new
	left                           bool // the user is no member; pos is where he left
}

// newBuild notes what the hub knows. Everything is read up to the hub's position at this moment. It yields nil when the
// user's list of rooms is older than that.
func (s *Service) newBuild(ctx context.Context, c *matrix.Caller, u *hubUser, q *Request, since *matrix.SyncToken) *build {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.stale {
		return nil
	}
	buf, _ := s.buffers.Get().(*[]byte)
	b := &build{s: s, ctx: ctx, c: c, u: u, q: q, f: q.Filter, now: s.now(), initial: since == nil, buf: buf, out: (*buf)[:0]}
	if since != nil {
		b.from = *since
	}
	b.head, b.eph = h.pos, h.eph
	b.knownUser, b.knownRooms = b.from.Pos >= u.since, b.from.Pos >= h.floor
	b.facts = h.factsOf(u)
	b.ignored = u.ignored
	for _, j := range u.rooms {
		if v := b.look(h, j); v != nil {
			b.moved = append(b.moved, v)
		}
	}
	met := func(v *roomView) bool { return v.members > b.from.Pos }
	if b.initial || u.eph > b.from.Ephemeral || u.membership > b.from.Pos || slices.ContainsFunc(b.moved, met) {
		b.presence = h.presenceFor(u, b.from, b.initial)
	}
	if d := u.device(c.DeviceNID); d.keys != nil {
		b.keys = d.keys
	}
	return b
}

// factsOf copies the facts about a user; mu is held.
func (h *hub) factsOf(u *hubUser) userFacts {
	f := userFacts{u.membership, u.account, u.toDevice, u.lists, u.keyCount, u.unmarked}
	if h.unspread > 0 {
		f.lists = h.pos // somebody's list changed, and it is not settled yet whom that concerns
	}
	return f
}

// look copies the facts about a joined room; nil when it cannot have news. hub.mu is held.
func (b *build) look(h *hub, j joinedRoom) *roomView {
	r := h.rooms[j.room]
	all := b.initial || b.q.FullState || !b.knownRooms || j.pos > b.from.Pos
	if r == nil {
		if !all {
			return nil
		}
		return &roomView{joinedRoom: j, tailFrom: b.head}
	}
	if !all && r.last <= b.from.Pos && r.typed <= b.from.Ephemeral {
		return nil
	}
	v := &roomView{joinedRoom: j, last: r.last, members: r.members, receipts: r.receipts, state: r.state, hits: r.hits,
		typed: r.typed, notify: r.notify, tnotify: r.tnotify, counted: r.counted, tail: r.tail, tailFrom: r.tailFrom,
		summary: r.summary, summaries: r.summaries}
	if all || r.typed > b.from.Ephemeral {
		v.typists = r.typistsOf()
	}
	return v
}

// looked is how far this build has looked: what a fruitless one need not look at again.
func (b *build) looked() matrix.SyncToken {
	return matrix.SyncToken{Epoch: b.s.db.Epoch(), Pos: b.head, ToDevice: b.head, Ephemeral: b.eph}
}

// run writes the answer and reports whether it tells anything.
func (b *build) run() (bool, error) {
	b.out = append(b.out, '{')
	for _, step := range [...]func() error{b.readAccount, b.readIgnored, b.joined, b.writeAccount, b.writePresence, b.writeToDevice,
		b.writeDeviceLists, b.writeKeyCounts} {
		if err := step(); err != nil {
			return false, err
		}
	}
	next := b.looked()
	next.ToDevice = b.toDevice
	b.out = append(append(append(b.out, `"next_batch":"`...), next.String()...), `"}`...)
	if b.found || b.initial || b.q.FullState {
		b.remember()
	}
	return b.found || b.initial || b.q.FullState, nil
}

// answer hands the bytes over.
func (b *build) answer() Answer {
	*b.buf = b.out
	return Answer{b.s, b.buf}
}

// remember notes what the client will have once it shows the next token.
func (b *build) remember() {
	b.s.hub.mu.Lock()
	defer b.s.hub.mu.Unlock()
	d := b.u.device(b.c.DeviceNID)
	d.sent = max(d.sent, b.received)
	for _, k := range b.sent {
		d.know(k, b.head)
	}
}

// readAccount reads the account data that is new, by room.
func (b *build) readAccount() error {
	if !b.initial && b.knownUser && b.facts.account <= b.from.Pos {
		return nil
	}
	rows, err := b.s.db.ListAccountData(b.ctx, b.u.nid, b.from.Pos, b.head)
	if err != nil {
		return err
	}
	b.account = make(map[int64][]storage.AccountData, len(rows))
	for _, r := range rows {
		b.account[r.Room] = append(b.account[r.Room], r)
	}
	return nil
}

// joined writes the rooms: those the user is in, and those he was asked into, asked for or left.
func (b *build) joined() error {
	if err := b.pickRooms(); err != nil {
		return err
	}
	start := len(b.out)
	b.out = append(b.out, `"rooms":{`...)
	empty := len(b.out)
	if err := b.group("join", func() error {
		for i, v := range b.moved {
			if i%earlyRooms == 0 {
				if err := b.readAhead(b.moved[i:min(i+earlyRooms, len(b.moved))]); err != nil {
					return err
				}
			}
			if err := b.joinRoom(v); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := b.departed(); err != nil {
		return err
	}
	if len(b.out) == empty {
		b.out = b.out[:start]
		return nil
	}
	b.out[len(b.out)-1] = '}' // the last group's comma
	b.out = append(b.out, ',')
	b.found = true
	return nil
}

// group writes `"name":{…},` unless fn writes nothing. Whatever fn writes ends with a comma.
func (b *build) group(name string, fn func() error) error {
	start := len(b.out)
	b.out = append(append(append(b.out, '"'), name...), `":{`...)
	empty := len(b.out)
	if err := fn(); err != nil {
		return err
	}
	if len(b.out) == empty {
		b.out = b.out[:start]
		return nil
	}
	b.out[len(b.out)-1] = '}'
	b.out = append(b.out, ',')
	return nil
}

// pickRooms settles which rooms to write: rooms with new account data are added, and where the hub does not reach back
// to the token, those without news are dropped.
func (b *build) pickRooms() error {
	if !b.initial && !b.q.FullState && !b.knownRooms {
		nids, err := b.s.db.ListMovedRooms(b.ctx, b.u.nid, b.from.Pos, b.head)
		if err != nil {
			return err
		}
		b.keepMoved(nids)
	}
	for nid := range b.account {
		if j, ok := b.u.findJoined(b.s.hub, nid); ok && !b.has(nid) {
			b.moved = append(b.moved, &roomView{joinedRoom: j, tailFrom: 0})
		}
	}
	return nil
}

// keepMoved keeps the rooms that are listed, those joined since, and those in which somebody types; what the hub noted of
// them is not complete, so all positions count as moved.
func (b *build) keepMoved(nids []int64) {
	listed := make(map[int64]bool, len(nids))
	for _, n := range nids {
		listed[n] = true
	}
	kept := b.moved[:0]
	for _, v := range b.moved {
		if listed[v.room] {
			v.members, v.receipts, v.state, v.hits, v.last = b.head, b.head, b.head, b.head, b.head
			v.summary = nil
		} else if v.pos <= b.from.Pos && v.typed <= b.from.Ephemeral {
			continue
		}
		kept = append(kept, v)
	}
	b.moved = kept
}

func (b *build) has(nid int64) bool {
	for _, v := range b.moved {
		if v.room == nid {
			return true
		}
	}
	return false
}

// findJoined is the user's place in a room, under the hub's lock.
func (u *hubUser) findJoined(h *hub, room int64) (joinedRoom, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return u.find(room)
}

package sync

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// Slide answers a request of sliding sync: at once when there is something to tell or the connection begins, otherwise as
// soon as there is, at the latest after the timeout. While it waits it holds a channel and its request. MSC4186
func (s *Service) Slide(ctx context.Context, c *matrix.Caller, q *SlidingRequest) (Answer, error) {
	u, err := s.follow(ctx, c, true)
	if err != nil {
		return Answer{}, err
	}
	_, eph, err := s.appear(u, q.SetPresence)
	if err != nil {
		return Answer{}, err
	}
	conn, from, err := s.connect(ctx, c, q)
	if err != nil {
		return Answer{}, err
	}
	if from != nil {
		from.Ephemeral = min(from.Ephemeral, eph)
	}
	if err := s.tookToDevice(ctx, c, u, q); err != nil {
		return Answer{}, err
	}
	r := &sliding{s: s, c: c, q: q, conn: conn, from: from, m: newMatcher(q), turn: conn.take()}
	defer conn.release(r.turn)
	_, woken, leave := s.hub.wait(c)
	defer func() { leave(s.now()) }()
	if q.Timeout <= 0 || from == nil {
		return r.now(ctx, true)
	}
	timeout := time.NewTimer(min(q.Timeout, maxWait))
	defer timeout.Stop()
	for must := false; ; {
		a, err := r.now(ctx, must)
		if err != nil || a.buf != nil {
			return a, err
		}
		if must = s.isClosing(); must {
			continue
		}
		select {
		case <-woken:
		case <-timeout.C:
			must = true
		case <-r.turn:
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
	}
}

// sliding is a request under way. It belongs to one goroutine.
type sliding struct {
	s    *Service
	c    *matrix.Caller
	q    *SlidingRequest
	conn *connection
	from *matrix.SlidingToken // nil at the beginning of a connection
	m    *matcher
	turn <-chan struct{} // closed when another request of the connection takes over
	// looked and heard are how far it has looked without finding anything.
	looked, heard int64
}

// now looks for something to tell; must asks for an answer even without any. An answer without a buffer is none.
func (r *sliding) now(ctx context.Context, must bool) (Answer, error) {
	for {
		u, err := r.s.follow(ctx, r.c, true)
		if err != nil {
			return Answer{}, err
		}
		if !must && !r.s.hub.stirring(u, r.looked, r.heard) && !r.overtaken() {
			return Answer{}, nil
		}
		a, again, err := r.look(ctx, u, must)
		if err != nil || !again {
			return a, err
		}
	}
}

func (r *sliding) overtaken() bool {
	select {
	case <-r.turn:
		return true
	default:
		return false
	}
}

// stirring reports whether anything came that a user may hear of. What is 0 was not looked for yet.
func (h *hub) stirring(u *hubUser, looked, heard int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return looked == 0 || !u.loaded || u.stale || u.stirs == nil || u.last > looked || u.stirs.lost || u.stirs.last > looked || u.eph > heard
}

// look builds one answer. again: the user's rooms changed under it.
func (r *sliding) look(ctx context.Context, u *hubUser, must bool) (a Answer, again bool, err error) {
	conn := r.conn
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if r.overtaken() {
		return r.quiet(), false, nil
	}
	conn.proved(r.from, r.s.now())
	b, err := r.newBuild(ctx, u)
	if err != nil || b == nil {
		return a, err == nil, err
	}
	if err := b.run(); err != nil {
		b.answer().Release()
		return a, false, err
	}
	if !b.found && !must && r.from != nil {
		r.looked, r.heard = b.head, b.eph
		b.answer().Release()
		return a, false, nil
	}
	conn.next = &b.next
	b.remember()
	return b.answer(), false, nil
}

// quiet is the answer to a request that another has taken the place of: nobody waits for it any more.
func (r *sliding) quiet() Answer {
	buf, _ := r.s.buffers.Get().(*[]byte)
	*buf = append(matrix.AppendJSONString(append((*buf)[:0], `{"pos":`...), r.q.Pos), '}')
	return Answer{r.s, buf}
}

// slidingBuild makes one answer of sliding sync out of what the build of a sync can write.
type slidingBuild struct {
	*build
	r     *sliding
	conn  *connection
	picks []pick
	gone  []sentRoom
	next  nextAnswer
	typed map[int64]bool
	floor int64
	// lastOwn is the position of the last thing that concerned the user beside his rooms.
	lastOwn int64
	// These are the parts about rooms of the extensions.
	receipts, accounts, typing []byte
	// shown are sticky events that stand in timelines, began are rooms that begin; both for the extension alone.
	shown, began map[int64]bool
}

// newBuild notes what the hub knows and picks the rooms that may have something to tell; nil: look again. conn.mu is held.
func (r *sliding) newBuild(ctx context.Context, u *hubUser) (*slidingBuild, error) {
	s, h := r.s, r.s.hub
	l, err := s.slideOf(ctx, u, r.c)
	if err != nil || l == nil {
		return nil, err
	}
	defer l.mu.Unlock()
	if err := r.m.windows(ctx, s, u, r.c, l); err != nil {
		return nil, err
	}
	if err := l.knowMoves(ctx, s, u, r.oldest(l)); err != nil {
		return nil, err
	}
	buf, _ := s.buffers.Get().(*[]byte)
	b := &slidingBuild{r: r, conn: r.conn, build: &build{s: s, ctx: ctx, c: r.c, u: u, q: &Request{StateAfter: true}, f: &Filter{},
		now: s.now(), initial: r.from == nil, knownRooms: true, buf: buf, out: (*buf)[:0], head: l.pos}}
	b.shown, b.began = map[int64]bool{}, map[int64]bool{}
	h.mu.Lock()
	b.eph, b.floor, b.ignored, b.lastOwn = h.eph, h.floor, u.ignored, u.last
	b.facts = h.factsOf(u)
	if r.from != nil {
		b.from = matrix.SyncToken{Epoch: r.from.Epoch, Pos: r.from.Pos, Ephemeral: r.from.Ephemeral}
		b.typed = h.typedSince(u, r.from.Ephemeral)
	}
	b.knownUser = b.from.Pos >= u.since
	b.keys = u.device(r.c.DeviceNID).keys
	h.mu.Unlock()
	if err := b.pick(l); err != nil {
		b.answer().Release()
		return nil, err
	}
	if r.q.Extensions.e2ee && !b.initial {
		b.lookAtMoved(l)
	}
	return b, nil
}

// oldest is the position from which on it must be known what moved: that of the oldest mark, and of the place shown.
func (r *sliding) oldest(l *slide) int64 {
	if r.from == nil {
		return l.pos
	}
	oldest := r.from.Pos
	for _, x := range r.conn.sent {
		oldest = min(oldest, x.mark.pos())
	}
	return oldest
}

// lookAtMoved gathers the rooms whose members may have changed, for lists of devices. The list of rooms is locked.
func (b *slidingBuild) lookAtMoved(l *slide) {
	h := b.s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	known := b.from.Pos >= h.floor
	b.knownRooms = known
	for i := range l.rooms {
		p := &pick{slideRoom: l.rooms[i]}
		if !p.isIn() || p.moved <= b.from.Pos {
			continue
		}
		if v := b.look(h, joinedRoom{p.room, p.pos}); v != nil {
			if !known {
				v.members, v.state = b.head, b.head
			}
			b.moved = append(b.moved, v)
		}
	}
	b.knownRooms = true
}

// run writes the answer.
func (b *slidingBuild) run() error {
	if err := b.readIgnored(); err != nil {
		return err
	}
	token := matrix.SlidingToken{Epoch: b.s.db.Epoch(), Pos: b.head, Ephemeral: b.eph, Life: b.conn.life, Answer: 1 + rand.Int64N(1<<52)}
	b.next = nextAnswer{answer: token.Answer, pos: b.head, ext: b.globalBits()}
	b.out = append(matrix.AppendJSONString(append(b.out, `{"pos":`...), token.String()), ',')
	if b.r.q.TxnID != "" {
		b.out = append(matrix.AppendJSONString(append(b.out, `"txn_id":`...), b.r.q.TxnID), ',')
	}
	b.writeLists()
	if err := b.group("rooms", b.writeRooms); err != nil {
		return err
	}
	if err := b.group("extensions", b.writeExtensions); err != nil {
		return err
	}
	b.out[len(b.out)-1] = '}'
	return nil
}

// writeLists writes how many rooms each list has.
func (b *slidingBuild) writeLists() {
	if len(b.r.q.Lists) == 0 {
		return
	}
	b.out = append(b.out, `"lists":{`...)
	for i := range b.r.q.Lists {
		b.out = append(matrix.AppendJSONString(b.out, b.r.q.Lists[i].name), `:{"count":`...)
		b.out = append(strconv.AppendInt(b.out, int64(b.r.m.counts[i]), 10), `},`...)
	}
	b.closeObject()
}

// writeRooms writes the picked rooms that have something to tell.
func (b *slidingBuild) writeRooms() error {
	b.next.rooms = append(b.next.rooms, b.gone...)
	place := b.from
	for i := range b.picks {
		if i%earlyRooms == 0 {
			if err := b.readEarly(b.picks[i:min(i+earlyRooms, len(b.picks))]); err != nil {
				return err
			}
		}
		start := len(b.out)
		mark, err := b.writePick(&b.picks[i])
		if err != nil {
			return err
		}
		b.from = place
		b.found = b.found || len(b.out) > start
		if mark != nil {
			b.next.rooms = append(b.next.rooms, sentRoom{b.picks[i].room, *mark})
		}
	}
	b.next.rooms = sortSent(b.next.rooms)
	return nil
}

// writePick writes a room and what it is marked with once the client has it; nil when nothing was settled.
func (b *slidingBuild) writePick(p *pick) (*sentMark, error) {
	room, err := b.s.rooms.RoomByNID(b.ctx, p.room)
	if matrix.HasCode(err, matrix.CodeNotFound) || p.pos > b.head {
		return nil, nil // purged since; or come later than this answer looks
	}
	if err != nil {
		return nil, err
	}
	number := b.conn.configNumber(p.config)
	if number < 0 {
		return nil, matrix.UnknownPos() // Why: who asks for each room otherwise begins anew
	}
	limit := p.limit
	switch {
	case p.isIn():
		limit, err = b.writeJoined(p, room)
	case p.isOutside():
		err = b.writeOutside(p, room)
	default:
		err = b.writeLeft(p, room)
	}
	if err != nil || limit < 0 {
		return nil, err
	}
	mark := newMark(b.head, limit, p.dm, number)
	if !p.shown {
		mark = 0 // told once; who comes back is sent all of it
	}
	return &mark, nil
}

// viewOf is what the hub knows of a room that was sent up to a position.
func (b *slidingBuild) viewOf(p *pick, room *rooms.Room, since int64) *roomView {
	h := b.s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	v := &roomView{joinedRoom: joinedRoom{p.room, p.pos}, r: room, tailFrom: b.head}
	if r := h.rooms[p.room]; r != nil {
		v.last, v.members, v.receipts, v.state, v.hits, v.typed = r.last, r.members, r.receipts, r.state, r.hits, r.typed
		v.notify, v.tnotify, v.counted, v.tail, v.tailFrom = r.notify, r.tnotify, r.counted, r.tail, r.tailFrom
		v.summary, v.summaries, v.bump = r.summary, r.summaries, r.bump
		v.typists = r.typistsOf()
	}
	if since < b.floor { // what the hub noted is not complete
		v.members, v.receipts, v.state, v.hits = b.head, b.head, b.head, b.head
	}
	return v
}

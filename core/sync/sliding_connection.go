package sync

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of a connection.
const (
	maxConnections    = 16       // of one device
	maxConfigs        = 1 << 10  // that a connection tells apart
	maxConfigText     = 12 << 10 // bytes of them all together; what is beyond is remembered by its sum alone
	maxSlidingLazy    = 256      // members known to a connection
	saveSlidingEvery  = time.Minute
	saveSlidingRooms  = 16             // rooms that are new to the client, which are stored soon
	saveSlidingAnyway = 24 * time.Hour // so that a quiet connection does not look unused
	idleSliding       = 10 * time.Minute
	keepSliding       = 30 * 24 * time.Hour
)

// sentRoom is what a connection was sent of a room, in 16 bytes.
type sentRoom struct {
	room int64
	mark sentMark
}

// sentMark says up to which position a room was sent and by which config: position, length of the timeline (7 bits),
// whether it was shown as a direct one, number of the config (13 bits). 0: it was not sent, or taken back.
type sentMark uint64

func newMark(pos int64, limit int, dm bool, config int) sentMark {
	m := sentMark(pos)<<21 | sentMark(limit)<<14 | sentMark(config)
	if dm {
		m |= 1 << 13
	}
	return m
}

func (m sentMark) pos() int64  { return int64(m >> 21) }
func (m sentMark) limit() int  { return int(m >> 14 & 0x7f) }
func (m sentMark) dm() bool    { return m&(1<<13) != 0 }
func (m sentMark) config() int { return int(m & 0x1fff) }

// connection is a sequence of requests of one client. What it was sent is kept as of the last answer that the client
// proved to have; the answer after that waits for its proof. It is stored now and then: after a crash a client is sent some
// things once more, and never misses any.
type connection struct {
	storage.SlidingConnection
	life int64

	// mu is held while an answer is built. It comes before slide.mu and hub.mu.
	mu      sync.Mutex
	answer  int64 // the answer that sent stands for; 0: none
	pos     int64 // the position of that answer
	sent    []sentRoom
	configs []*roomConfig
	known   map[lazyKey]struct{} // members that the client has
	ext     uint8                // bits of the extensions about the user that were on
	// gap is set when sent is older than what the client has: rooms left behind this position must be told. -1: it is not.
	gap     int64
	next    *nextAnswer
	dirty   bool
	fresh   int // rooms that are not stored at all
	saved   time.Time
	current chan struct{} // closed when another request takes over

	used time.Time // guarded by connections.mu
}

// nextAnswer is what an answer adds to a connection once the client proves to have it.
type nextAnswer struct {
	answer, pos int64
	rooms       []sentRoom // by room
	known       []lazyKey
	ext         uint8
}

// connections are those in memory.
type connections struct {
	mu   sync.Mutex
	open map[storage.SlidingConnection]*connection
}

// maxOpenConnections bounds the connections in memory; beyond it those unused longest are put away.
const maxOpenConnections = 20_000

// connect finds the connection that a request belongs to, or begins it. from is the place that the client showed; nil at
// the beginning.
func (s *Service) connect(ctx context.Context, c *matrix.Caller, q *SlidingRequest) (*connection, *matrix.SlidingToken, error) {
	key := storage.SlidingConnection{User: c.UserNID, Device: c.DeviceNID, Conn: q.ConnID}
	if q.Pos == "" {
		conn, err := s.beginConnection(ctx, key)
		return conn, nil, err
	}
	from, err := matrix.ParseSlidingToken(q.Pos)
	if err != nil {
		return nil, nil, err
	}
	if from.Epoch != s.db.Epoch() {
		return nil, nil, matrix.UnknownPos()
	}
	s.hub.mu.Lock()
	head := s.hub.pos
	s.hub.mu.Unlock()
	if from.Pos > head {
		if known, err := s.catchUp(ctx, from.Pos); err != nil || !known {
			return nil, nil, cmp.Or(err, error(matrix.UnknownPos()))
		}
	}
	conn, err := s.findConnection(ctx, key, from.Life)
	return conn, &from, err
}

// beginConnection begins anew. Its row is written before the first answer: otherwise a crash would lose the connection.
func (s *Service) beginConnection(ctx context.Context, key storage.SlidingConnection) (*connection, error) {
	now := s.now()
	conn := &connection{SlidingConnection: key, life: rand.Int64N(1 << 52), gap: -1, saved: now}
	change := &storage.Change{}
	change.Guard(storage.BeginSliding(key, conn.life, now.UnixMilli(), maxConnections)...)
	if err := s.db.Commit(ctx, change); err != nil {
		return nil, err
	}
	s.conns.put(conn, now)
	return conn, nil
}

// findConnection takes a connection from memory or from storage.
func (s *Service) findConnection(ctx context.Context, key storage.SlidingConnection, life int64) (*connection, error) {
	now := s.now()
	if conn := s.conns.get(key, now); conn != nil && conn.life == life {
		return conn, nil
	}
	stored, body, err := s.db.FindSliding(ctx, key)
	if errors.Is(err, storage.ErrNotFound) || err == nil && stored != life {
		return nil, matrix.UnknownPos()
	}
	if err != nil {
		return nil, err
	}
	conn := &connection{SlidingConnection: key, life: life, gap: -1, saved: now}
	if err := conn.decode(body); err != nil {
		s.log.Error("a stored connection of sliding sync cannot be read: it begins anew", "error", err)
		return nil, matrix.UnknownPos()
	}
	return s.conns.put(conn, now), nil
}

func (l *connections) get(key storage.SlidingConnection, now time.Time) *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.open[key]
	if c != nil {
		c.used = now
	}
	return c
}

// put enters a connection. One of the same life that came in between stays.
func (l *connections) put(c *connection, now time.Time) *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.open[c.SlidingConnection]; old != nil && old.life == c.life {
		return old
	}
	if l.open == nil {
		l.open = map[storage.SlidingConnection]*connection{}
	}
	c.used = now
	l.open[c.SlidingConnection] = c
	return c
}

// take makes a request the connection's current one; the one before, if it still waits, is told to end.
func (c *connection) take() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		close(c.current)
	}
	c.current = make(chan struct{})
	return c.current
}

// release ends a request's turn.
func (c *connection) release(turn <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == turn {
		c.current = nil
	}
}

// proved takes in what the client's place shows it to have; mu is held. A place that is neither of the last two was given
// out before a crash, or by another node: what is remembered is older than that, and will be sent again.
func (c *connection) proved(from *matrix.SlidingToken, now time.Time) {
	switch {
	case from == nil:
		c.sent, c.known, c.answer, c.pos, c.ext, c.gap = nil, nil, 0, 0, 0, -1
	case c.next != nil && c.next.answer == from.Answer:
		c.adopt(c.next, now)
	case c.answer != from.Answer && c.gap < 0:
		c.gap, c.known = c.pos, nil
	}
	c.next = nil
	if len(c.configs) >= maxConfigs/2 {
		c.dropConfigs()
	}
}

// adopt makes an answer what the client has.
func (c *connection) adopt(n *nextAnswer, now time.Time) {
	c.dirty = c.dirty || len(n.rooms) > 0 || c.ext != n.ext || now.Sub(c.saved) > saveSlidingAnyway
	c.answer, c.pos, c.ext, c.gap = n.answer, n.pos, n.ext, -1
	before := len(c.sent)
	c.sent = mergeSent(c.sent, n.rooms)
	c.fresh += max(len(c.sent)-before, 0)
	for _, k := range n.known {
		if c.known == nil || len(c.known) >= maxSlidingLazy {
			c.known = map[lazyKey]struct{}{}
		}
		c.known[k] = struct{}{}
	}
}

// mergeSent puts newer marks over older ones; both lists are by room. A mark of 0 takes the room out.
func mergeSent(old, newer []sentRoom) []sentRoom {
	fresh := 0
	for _, n := range newer {
		i, found := slices.BinarySearchFunc(old, n.room, func(s sentRoom, room int64) int { return cmp.Compare(s.room, room) })
		if found && n.mark != 0 {
			old[i].mark = n.mark
		} else {
			fresh++
		}
	}
	if fresh == 0 {
		return old
	}
	out := make([]sentRoom, 0, len(old)+fresh)
	for len(old) > 0 || len(newer) > 0 {
		switch {
		case len(newer) == 0 || len(old) > 0 && old[0].room < newer[0].room:
			out, old = append(out, old[0]), old[1:]
			continue
		case len(old) > 0 && old[0].room == newer[0].room:
			old = old[1:]
		}
		if newer[0].mark != 0 {
			out = append(out, newer[0])
		}
		newer = newer[1:]
	}
	return out
}

// configNumber is the number of a config on this connection; -1 when there are too many. mu is held.
func (c *connection) configNumber(want *roomConfig) int {
	text := 0
	for i, have := range c.configs {
		if have.sum == want.sum {
			return i
		}
		text += len(have.text)
	}
	if len(c.configs) >= maxConfigs {
		return -1
	}
	kept := want
	if text+len(want.text) > maxConfigText {
		kept = &roomConfig{sum: want.sum, ext: want.ext, opaque: true}
	}
	c.configs = append(c.configs, kept)
	return len(c.configs) - 1
}

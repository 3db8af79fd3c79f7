package sync

import (
	"context"
	"encoding/binary"
	"errors"
	"rempart/internal/matrix"
	"time"

	"rempart/storage"
)

// A stored connection: version, then numbers as varints: answer, position, extensions, number of configs, these as sum,
// extensions and JSON (empty: opaque), the rooms; then the same of the answer that waits for its proof: answer (0: none),
// position, extensions, rooms. Rooms are their number and, of each, its distance from the room before and its mark, as
// distance of its position from the connection's and the rest.

const slidingBodyVersion = 1

// errSlidingBody says that a stored connection is none.
var errSlidingBody = errors.New("sync: a stored connection is damaged")

// encode writes what the client has proved to have, and what he may prove next; mu is held.
func (c *connection) encode() []byte {
	b := make([]byte, 0, 64+10*len(c.sent))
	b = append(b, slidingBodyVersion)
	b = binary.AppendUvarint(b, uint64(c.answer))
	b = binary.AppendUvarint(b, uint64(c.pos))
	b = append(b, c.ext)
	b = binary.AppendUvarint(b, uint64(len(c.configs)))
	for _, f := range c.configs {
		b = append(append(b, f.sum[:]...), f.ext)
		b = binary.AppendUvarint(b, uint64(len(f.text)))
		b = append(b, f.text...)
	}
	b = appendSent(b, c.sent, c.pos)
	if c.next == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(c.next.answer))
	b = binary.AppendUvarint(b, uint64(c.next.pos))
	return appendSent(append(b, c.next.ext), c.next.rooms, c.next.pos)
}

func appendSent(b []byte, list []sentRoom, from int64) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	room := int64(0)
	for _, s := range list {
		b = binary.AppendUvarint(b, uint64(s.room-room))
		b = binary.AppendVarint(b, from-s.mark.pos())
		b = binary.AppendUvarint(b, uint64(s.mark&(1<<21-1)))
		room = s.room
	}
	return b
}

func (r *slidingReader) sent(from int64) []sentRoom {
	room, n := int64(0), r.count()
	out := make([]sentRoom, 0, n)
	for range n {
		room += int64(r.uint())
		pos := from - r.int()
		out = append(out, sentRoom{room, sentMark(pos)<<21 | sentMark(r.uint()&(1<<21-1))})
	}
	return out
}

// decode reads what encode wrote; nothing at all is a connection of which no answer is proved.
func (c *connection) decode(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	r := slidingReader{rest: body}
	if r.byte() != slidingBodyVersion {
		return errSlidingBody
	}
	c.answer, c.pos = int64(r.uint()), int64(r.uint())
	c.ext = r.byte()
	for range r.count() {
		f := &roomConfig{}
		copy(f.sum[:], r.bytes(16))
		f.ext = r.byte()
		text := r.bytes(int(r.count()))
		if f.opaque = len(text) == 0; !f.opaque {
			var rules []stateRule
			if err := matrix.Decode(text, &rules); err != nil {
				return errors.Join(errSlidingBody, err)
			}
			sum := f.sum
			if f = newConfig(rules, f.ext); f.sum != sum {
				return errSlidingBody
			}
		}
		c.configs = append(c.configs, f)
	}
	c.sent = r.sent(c.pos)
	if answer := int64(r.uint()); answer != 0 {
		c.next = &nextAnswer{answer: answer, pos: int64(r.uint())}
		c.next.ext = r.byte()
		c.next.rooms = r.sent(c.next.pos)
	}
	for _, list := range [...]*[]sentRoom{&c.sent, c.nextRooms()} {
		for _, s := range *list {
			if s.mark != 0 && s.mark.config() >= len(c.configs) {
				return errSlidingBody
			}
		}
	}
	if r.failed || len(r.rest) > 0 {
		return errSlidingBody
	}
	return nil
}

func (c *connection) nextRooms() *[]sentRoom {
	if c.next == nil {
		return &[]sentRoom{}
	}
	return &c.next.rooms
}

// slidingReader reads a stored connection; what is not there is 0 and counts as failed.
type slidingReader struct {
	rest   []byte
	failed bool
}

func (r *slidingReader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.failed, r.rest = true, nil
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *slidingReader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *slidingReader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bytes(-1)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *slidingReader) int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bytes(-1)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count is a number of things of at least one byte each.
func (r *slidingReader) count() uint64 {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.bytes(-1)
		return 0
	}
	return n
}

// dropConfigs forgets the configs that no room goes by and renumbers the others; mu is held, and no answer waits for its proof.
func (c *connection) dropConfigs() {
	number := make([]int, len(c.configs))
	var kept []*roomConfig
	for i := range c.sent {
		m := c.sent[i].mark
		old := m.config()
		if number[old] == 0 {
			kept = append(kept, c.configs[old])
			number[old] = len(kept)
		}
		c.sent[i].mark = m&^0x1fff | sentMark(number[old]-1)
	}
	c.configs = kept
}

// saveConnections stores what changed, and puts away what is unused; all stores everything at once.
func (s *Service) saveConnections(ctx context.Context, all bool) {
	now := s.now()
	for _, c := range s.conns.list() {
		c.mu.Lock()
		due := (c.dirty || all && c.next != nil) && (all || c.fresh >= saveSlidingRooms || now.Sub(c.saved) >= saveSlidingEvery)
		var body []byte
		if due {
			body, c.dirty, c.fresh, c.saved = c.encode(), false, 0, now
		}
		c.mu.Unlock()
		if due {
			s.saveConnection(ctx, c, body, now)
		}
	}
	s.conns.putAway(now)
}

func (s *Service) saveConnection(ctx context.Context, c *connection, body []byte, now time.Time) {
	change := &storage.Change{}
	change.Guard(storage.SaveSliding(c.SlidingConnection, c.life, body, now.UnixMilli()))
	if err := s.db.Commit(ctx, change); err != nil && !errors.Is(err, storage.ErrClosed) {
		s.log.Error("store a connection of sliding sync", "error", err)
		c.mu.Lock()
		c.dirty = true
		c.mu.Unlock()
	}
}

// expireConnections forgets what nobody has come back to.
func (s *Service) expireConnections(ctx context.Context) {
	err := s.db.ExpireSliding(ctx, s.now().Add(-keepSliding).UnixMilli())
	if err != nil && !errors.Is(err, storage.ErrClosed) {
		s.log.Error("forget old connections of sliding sync", "error", err)
	}
}

func (l *connections) list() []*connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*connection, 0, len(l.open))
	for _, c := range l.open {
		out = append(out, c)
	}
	return out
}

// putAway forgets what is stored and has not been used for a while, or for a shorter while when there are many.
func (l *connections) putAway(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	idle := idleSliding
	if len(l.open) > maxOpenConnections {
		idle = onlineFor
	}
	for key, c := range l.open {
		if now.Sub(c.used) < idle || !c.mu.TryLock() {
			continue
		}
		if !c.dirty && c.current == nil {
			delete(l.open, key)
		}
		c.mu.Unlock()
	}
}

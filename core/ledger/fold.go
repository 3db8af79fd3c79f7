package ledger

import (
	"context"
	"net/netip"
	"slices"
	"strconv"

	"rempart/internal/matrix"
)

// Reader is who reads, by which session and from where.
type Reader struct {
	Session int64
	User    matrix.UserID
	Addr    netip.Addr
	// Mission is the permission to be abroad that the session has, "" none.
	Mission string
}

// span is what reads are folded by; extent is what they were.
type (
	span struct {
		session int64
		room    matrix.RoomID
		addr    netip.Addr
	}
	extent struct {
		user             matrix.UserID
		mission          string
		from, to, events int64
	}
)

// maxSpans bounds the reads that are folded in memory; beyond, they are written at once.
const maxSpans = 50_000

// Read notes that a session was shown events of a room, between two stream positions. It costs no more than a look into a table in
// memory; what was read is written at most every five seconds.
func (s *Service) Read(r Reader, room matrix.RoomID, from, to, events int64) {
	if events == 0 {
		return
	}
	key := span{r.Session, room, r.Addr}
	l := &s.later
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.reads[key]; known != nil {
		known.from, known.to, known.events = min(known.from, from), max(known.to, to), known.events+events
		return
	}
	if l.reads == nil {
		l.reads = map[span]*extent{}
	}
	l.reads[key] = &extent{r.User, r.Mission, from, to, events}
	if len(l.reads) == maxSpans {
		s.poke()
	}
}

// flush writes what was folded in memory.
func (s *Service) flush(all bool) {
	if s.later.full() {
		all = true
	}
	l := s.later.take(all)
	entries := l.noted
	for _, r := range l.refused {
		entries = append(entries, &entry{rec: *r})
	}
	for k, x := range l.reads {
		entries = append(entries, s.readEntry(k, x))
	}
	if l.lost > 0 {
		entries = append(entries, &entry{rec: Record{Kind: Lost, Count: l.lost}})
	}
	failed := int64(0)
	for part := range slices.Chunk(entries, maxBatch/2) {
		if err := s.append(context.Background(), &group{entries: part}); err != nil {
			failed += int64(len(part))
		}
	}
	var of []Outcome
	for _, x := range l.ended {
		n := x.e.n.Load()
		if n == 0 {
			continue // what it is the outcome of could not be recorded, which was counted
		}
		x.o.N = n - 1
		of = append(of, x.o)
	}
	for part := range slices.Chunk(of, blockSize) {
		e := &entry{rec: Record{Kind: Outcomes, Of: part}}
		if err := s.append(context.Background(), &group{entries: []*entry{e}}); err != nil {
			failed += int64(len(part))
		}
	}
	if failed > 0 {
		s.later.lose(failed)
	}
}

func (l *later) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.reads) >= maxSpans
}

// readEntry makes the record of what a session read in a room.
func (s *Service) readEntry(k span, x *extent) *entry {
	r := Record{Kind: Read, Mission: x.mission, From: x.from, To: x.to, Count: x.events}
	if k.addr.IsValid() {
		r.Addr = k.addr.String()
		if s.Place != nil {
			r.CC = s.Place(k.addr)
		}
	}
	return &entry{rec: r, names: []Name{User(x.user), Room(k.room)}, session: sessionName(strconv.FormatInt(k.session, 10))}
}

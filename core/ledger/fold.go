package ledger

import (
	"context"
	"net/netip"
	"slices"

	"rempart/internal/matrix"
)

// Reader is who reads, by which session and from where.
type Reader struct {
	Session int64
	User    matrix.UserID
	Addr    netip.Addr
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
	l.reads[key] = &extent{r.User, from, to, events}
	if len(l.reads) == maxSpans {
		s.poke()
	}
}

// flush writes what was folded in memory. When it returns, all that was folded before is in the log, whoever wrote it.
func (s *Service) flush(all bool) {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if s.later.full() {
		all = true
	}
	l := s.later.take(all)
	entries := l.noted
	for _, r := range l.refused {
		entries = append(entries, &entry{rec: *r})
	}
	entries = append(entries, s.readEntries(l.reads)...)
	if l.lost > 0 {
		entries = append(entries, &entry{rec: Record{Kind: Lost, Count: l.lost}})
	}
	failed := int64(0)
	for part := range slices.Chunk(entries, maxBatch/2) {
		if err := s.append(context.Background(), &group{entries: part}); err != nil {
			failed += int64(len(part))
		}
	}
	for part := range slices.Chunk(outcomes(l.ended), blockSize) {
		e := &entry{rec: Record{Kind: Outcomes, Of: part}}
		if err := s.append(context.Background(), &group{entries: []*entry{e}}); err != nil {
			failed += int64(len(part))
		}
	}
	if failed > 0 {
		s.later.lose(failed)
	}
}

// outcomes are what is written of what has ended. Of those to whom one record goes all that ended alike are one.
func outcomes(list []ended) []Outcome {
	type alike struct {
		n, sent, received int64
		ok                bool
		spki, why         string
	}
	var of []Outcome
	at := map[alike]int{}
	for _, x := range list {
		n := x.e.n.Load()
		if n == 0 {
			continue // what it is the outcome of could not be recorded, which was counted
		}
		x.o.N = n - 1
		if x.to == 0 {
			of = append(of, x.o)
			continue
		}
		key := alike{x.o.N, x.o.Sent, x.o.Received, x.o.OK, x.o.SPKI, x.o.Why}
		i, known := at[key]
		if !known {
			i = len(of)
			at[key], of = i, append(of, x.o)
		}
		of[i].To = append(of[i].To, x.to-1)
	}
	return of
}

func (l *later) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.reads) >= maxSpans
}

// glancesOfOne bounds what one record of reads tells.
const glancesOfOne = 256

// glance is what a session read, on its way into the log.
type glance struct {
	span
	*extent
	room int // among the names of its record
	// cc is the country of the address, mission the permission to be there.
	cc, mission string
}

// readEntries makes the records of what sessions read. Why many in one: somebody reads each message that is delivered, and a record costs as much as
// a delivery.
func (s *Service) readEntries(reads map[span]*extent) []*entry {
	var out []*entry
	var e *entry
	var rooms map[matrix.RoomID]int
	for k, x := range reads {
		if e == nil || len(e.reads) == glancesOfOne {
			e, rooms = &entry{rec: Record{Kind: Read}}, map[matrix.RoomID]int{}
			out = append(out, e)
		}
		room, known := rooms[k.room]
		if !known {
			room = len(e.names)
			rooms[k.room] = room
			e.names = append(e.names, Room(k.room))
		}
		cc, mission := s.abroad(x.user, k.addr)
		e.reads = append(e.reads, glance{k, x, room, cc, mission})
	}
	return out
}

// abroad is the country of an address, and the mission under which somebody is there when it is outside the territory.
func (s *Service) abroad(user matrix.UserID, addr netip.Addr) (cc, mission string) {
	if s.Place == nil || !addr.IsValid() {
		return "", ""
	}
	cc = s.Place(addr)
	if s.Mission == nil || s.place(&Record{CC: cc, Addr: addr.String()}) != outside {
		return cc, ""
	}
	mission, err := s.Mission(context.Background(), user, cc, s.clock())
	if err != nil {
		s.log.Error("look for the mission of somebody who reads from abroad; it is recorded without one", "error", err)
	}
	return cc, mission
}

// look makes what a record says of one glance; its user becomes the last of the objects.
func (s *Service) look(x *glance, user int, session string) Glance {
	g := Glance{User: user, Room: x.room, Session: session, CC: x.cc, Mission: x.mission, From: x.from, To: x.to, Count: x.events}
	if x.addr.IsValid() {
		g.Addr = x.addr.String()
	}
	return g
}

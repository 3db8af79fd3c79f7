package ledger

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"rempart/internal/matrix"
)

// Intent is what is about to leave. Of the record Kind and what describes the passage are filled in by the caller; several Dests are a record to all
// of them at once, one is the same as Dest.
type Intent struct {
	Record Record
	// About are the people, rooms and files concerned.
	About []Name
	// Items are the hashes of what leaves, by [AppendItem].
	Items []byte
}

// AppendItem appends the hash of something that leaves, such as an event's id.
func AppendItem(dst []byte, item []byte) []byte {
	h := tlog.RecordHash(item)
	return append(dst, h[:]...)
}

// Permit stands for something that was recorded and may leave. The zero value stands for nothing.
type Permit struct {
	s  *Service
	e  *entry
	to int // 1 + the place among its Dests; 0: there are none
}

// To is the part of a permit that one of several Dests has, by its place.
func (p Permit) To(which int) Permit {
	if p.e != nil && len(p.e.rec.Dests) > 0 {
		p.to = 1 + which
	}
	return p
}

// Begin records what is about to leave. When it returns nil the records are durable; else nothing may leave.
func (s *Service) Begin(ctx context.Context, intents ...Intent) ([]Permit, error) {
	g := &group{entries: make([]*entry, len(intents))}
	permits := make([]Permit, len(intents))
	for i, in := range intents {
		e := &entry{rec: in.Record, names: in.About, items: in.Items}
		if len(in.Record.Dests) == 1 {
			e.rec.Dest, e.rec.Dests = in.Record.Dests[0], nil
		}
		g.entries[i], permits[i] = e, Permit{s: s, e: e}
	}
	err := s.append(ctx, g)
	if err != nil && s.Lax {
		s.later.lose(int64(len(intents)))
		return make([]Permit, len(intents)), nil
	}
	if err != nil {
		return nil, refusal().Wrap(err)
	}
	return permits, nil
}

func refusal() *matrix.Error {
	e := matrix.Forbidden("Nothing leaves this server at the moment: its record of what leaves cannot be written. Tell its administrators.")
	e.MessageFR = "Rien ne sort de ce serveur pour l'instant : son registre des sorties ne peut pas être écrit. Prévenez ses administrateurs."
	return e
}

// Note records what leaves without waiting for it to be durable.
// Why: the ledger's own database is reached by a connection, which cannot wait for its own record.
func (s *Service) Note(in Intent) Permit {
	e := &entry{rec: in.Record, names: in.About, items: in.Items}
	s.later.mu.Lock()
	defer s.later.mu.Unlock()
	if len(s.later.noted) >= maxFolded {
		s.later.lost++
		return Permit{}
	}
	s.later.noted = append(s.later.noted, e)
	return Permit{s: s, e: e}
}

// End records what became of it, some time later; N is filled in.
func (p Permit) End(o Outcome) {
	if p.s == nil {
		return
	}
	l := &p.s.later
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ended) >= 16*maxFolded {
		l.lost++
		return
	}
	l.ended = append(l.ended, ended{p.e, p.to, o})
}

// Refuse records something that was refused; of the same within seconds the number is recorded.
func (s *Service) Refuse(r Record) { s.refuse(refused{r.For, r.Dest, r.Host, r.Addr, r.Rule}, r) }

// RefuseCaller records a request that was refused to whoever made it. Of those from one address the number is recorded, with the first name that it gave
// itself. Why: a stranger may call himself anything, as often as he likes.
func (s *Service) RefuseCaller(r Record, from netip.Addr) {
	if from = from.Unmap(); from.Is6() {
		if p, err := from.Prefix(64); err == nil {
			from = p.Addr()
		}
	}
	s.refuse(refused{kind: r.For, addr: from.String(), rule: r.Rule}, r)
}

func (s *Service) refuse(key refused, r Record) {
	r.Kind = Refused
	l := &s.later
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.refused[key]; known != nil {
		known.Count++
		return
	}
	if len(l.refused) >= maxFolded {
		l.lost++
		return
	}
	if l.refused == nil {
		l.refused = map[refused]*Record{}
	}
	r.Count = 1
	l.refused[key] = &r
}

// maxFolded bounds each thing that is folded in memory.
const maxFolded = 4096

// later is what is written some time later.
type later struct {
	mu sync.Mutex
	folded
}

// folded is what waits to be written.
type folded struct {
	noted   []*entry
	ended   []ended
	refused map[refused]*Record
	reads   map[span]*extent
	lost    int64
}

// ended is an outcome whose record may not have its number yet.
type ended struct {
	e  *entry
	to int // as in Permit
	o  Outcome
}

// refused is what refusals are folded by.
type refused struct{ kind, dest, host, addr, rule string }

func (l *later) lose(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost += n
}

// take takes what is to be written; reads and refusals only when all is wanted.
func (l *later) take(all bool) (out folded) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out.noted, out.ended, out.lost = l.noted, l.ended, l.lost
	l.noted, l.ended, l.lost = nil, nil, 0
	if all {
		out.refused, out.reads = l.refused, l.reads
		l.refused, l.reads = nil, nil
	}
	return out
}

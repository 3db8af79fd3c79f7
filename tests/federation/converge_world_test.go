package federation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
	"rempart/internal/testkit/waits"
)

// seat is a server and the way to it.
type seat struct {
	*live.Server
	link *fakenet.Link
	// nodes are its processes; the first is the one that others reach. More than one share a database of PostgreSQL, whose URL is db.
	nodes []*live.Server
	db    string
}

// newSeat starts a server.
func newSeat(t *testing.T, ca *fakenet.CA, nodes int) *seat {
	t.Helper()
	s := &seat{link: fakenet.NewLink(t)}
	if nodes > 1 {
		s.db = pgtest.New(t)
	}
	s.Server = live.Start(t, live.Options{CA: ca, Relay: s.link.To, Postgres: s.db})
	s.nodes = []*live.Server{s.Server}
	for len(s.nodes) < nodes {
		s.nodes = append(s.nodes, live.Start(t, live.Options{CA: ca, Name: s.Name, At: "127.0.0.1", Postgres: s.db, SigningKey: filepath.Join(s.Dir, "signing.key")}))
	}
	return s
}

// hall is a room.
type hall struct {
	id   string
	kind kind

	mu     sync.Mutex
	been   map[*seat]bool    // servers that were in it
	torn   bool              // a server left it and came back
	events []string          // some of those said there
	said   map[string]string // what was acknowledged in a calm one: event → text
}

// kind is what may happen in a room.
type kind int

const (
	// calm: nobody can be put out, so that what is said there is heard by all.
	calm kind = iota
	// held: one person of each server stays.
	held
	// loose: servers come and go. One that comes back by another which has not heard yet what it did before it left may find itself out there
	// when that arrives, and nobody tells it so.
	loose
)

// realm is all of it.
type realm struct {
	seed    uint64
	seats   []*seat
	souls   []*soul
	did     atomic.Int64
	refused atomic.Int64
	faults  string

	mu     sync.Mutex
	halls  []*hall
	posted map[string]*soul // messages to devices → for whom
	story  []string
}

// newRealm starts servers with some people each, the second of them as so many nodes.
func newRealm(t *testing.T, seed uint64, servers, each, nodes int) *realm {
	t.Helper()
	w, ca := &realm{seed: seed, posted: map[string]*soul{}}, fakenet.NewCA(t)
	for i := range servers {
		n := 1
		if i == 1 && pgtest.Wanted() {
			n = nodes
		}
		s := newSeat(t, ca, n)
		w.seats = append(w.seats, s)
		for j := range each {
			c, err := mx.Register(t.Context(), s.nodes[j%len(s.nodes)].URL, fmt.Sprintf("p%d%d", i, j))
			mx.Must(t, err)
			p := newSoul(c, s, len(w.souls))
			w.souls = append(w.souls, p)
			mx.Must(t, p.uploadKeys(t.Context(), c.Token, c.DeviceID, 0))
		}
	}
	for _, p := range w.souls {
		p.others = map[string]bool{}
		for _, o := range w.souls {
			p.others[o.UserID] = true
		}
	}
	return w
}

func newHall(id string, k kind) *hall {
	return &hall{id: id, kind: k, been: map[*seat]bool{}, said: map[string]string{}}
}

// stays reports whether somebody is the one of his server who stays.
func (p *soul) stays() bool { return p.n%2 == 0 }

// furnish makes rooms, and brings everybody into the calm ones and some into the others.
func (w *realm) furnish(t *testing.T) {
	t.Helper()
	for i, version := range []string{"10", "12", "11", "12"} {
		owner := w.souls[i*2%len(w.souls)]
		levels := map[string]int{}
		for _, p := range w.souls {
			if p != owner {
				levels[p.UserID] = 99 - 49*(p.n%2) // of each server one who stays and has power
			}
		}
		if version != "12" {
			levels[owner.UserID] = 100
		}
		id, err := owner.CreateRoom(t.Context(), map[string]any{"preset": "public_chat", "room_version": version, "name": fmt.Sprint("hall ", i),
			"power_level_content_override": map[string]any{"users": levels}})
		mx.Must(t, err)
		h := newHall(id, []kind{calm, held, calm, loose}[i])
		for _, p := range w.souls {
			if p != owner && (h.kind == calm || h.kind == held && p.stays() || p.n%3 > 0) {
				mx.Must(t, joinVia(t.Context(), p.Client, id, owner.seat.Name))
				h.been[p.seat] = true
			}
		}
		w.halls = append(w.halls, h)
	}
}

// note remembers what somebody did, for who looks for the cause of a difference.
func (w *realm) note(format string, words ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, time.Now().Format("05.000 ")+fmt.Sprintf(format, words...))
}

// tellStories shows all that was done.
func (w *realm) tellStories(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("seed %d\n%s", w.seed, strings.Join(w.story, "\n"))
}

// disturb lets things fail until all is done, and then no more.
func (w *realm) disturb(t *testing.T, random *rand.Rand, done <-chan struct{}) {
	t.Helper()
	count := map[string]int{}
	for {
		s := w.seats[random.IntN(len(w.seats))]
		node := s.nodes[random.IntN(len(s.nodes))]
		fault := []string{"cut", "deaf", "slow", "stop", "kill"}[random.IntN(5)]
		w.note("%s: %s", s.Name, fault)
		switch count[fault]++; fault {
		case "cut":
			s.link.Cut()
		case "deaf":
			s.link.Deafen()
		case "slow":
			s.link.Slow(time.Duration(random.IntN(30)) * time.Millisecond)
		case "stop":
			node.Stop()
		case "kill":
			node.Kill()
		}
		over := w.pause(time.Duration(random.IntN(1200))*time.Millisecond, done)
		s.link.Mend()
		if fault == "stop" || fault == "kill" {
			node.Restart()
		}
		w.note("%s: no more %s", s.Name, fault)
		if over || w.pause(time.Duration(random.IntN(400))*time.Millisecond, done) {
			w.faults = fmt.Sprint(count)
			return
		}
	}
}

// pause lets things take their course; it reports whether all is done.
func (w *realm) pause(d time.Duration, done <-chan struct{}) (over bool) {
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// settle has one person of each server that is in a room speak there, where people were put out. Why: what one server shows to nobody, since
// who said it was out there already, another resolves; all do when somebody builds on both.
func (w *realm) settle(ctx context.Context) {
	for _, h := range w.halls {
		if h.kind == calm {
			continue
		}
		for _, s := range w.seats {
			for _, p := range w.souls {
				if p.seat == s {
					if id, err := p.Send(ctx, h.id, "settle "+p.UserID, "all is quiet"); err == nil {
						h.keep(id, "all is quiet")
						break
					}
				}
			}
		}
	}
}

// requireNothingWaits ends the servers and looks into their databases: nothing waits to be told or taken in, or not for long.
func (w *realm) requireNothingWaits(ctx context.Context, t *testing.T) {
	t.Helper()
	for {
		var waits []string
		for _, s := range w.seats {
			for _, n := range s.nodes {
				n.Stop()
			}
			waits = append(waits, s.waiting(t)...)
		}
		if len(waits) == 0 {
			return
		}
		for _, s := range w.seats {
			for _, n := range s.nodes {
				n.Restart()
			}
		}
		w.pause(time.Second, nil)
		if ctx.Err() != nil {
			t.Error(strings.Join(waits, "\n"))
			return
		}
	}
}

// waiting is what waits in the database of a server that has ended.
func (s *seat) waiting(t *testing.T) []string {
	t.Helper()
	if s.db != "" {
		return waits.In(t, s.Name, s.db)
	}
	return waits.In(t, s.Name, find(t, s.Dir, "*.db"))
}

// server is where somebody is at home.
func server(user string) matrix.ServerName { return matrix.UserID(user).Server() }

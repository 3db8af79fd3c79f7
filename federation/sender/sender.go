package sender

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"rempart/core"
	"rempart/core/lease"
	"rempart/core/ledger"
	"rempart/core/rooms"
	"rempart/federation/client"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Options is what a sender is made of.
type Options struct {
	DB     *storage.DB
	Bus    *bus.Bus[storage.Batch]
	Rooms  *rooms.Service
	Client *client.Client
	// Compose makes the content of a stored message when it is sent; nil content leaves the message out.
	Compose func(ctx context.Context, row *storage.OutboxRow) ([]core.EDU, error)
	// Admit reports whether one of our servers may tell another a message of a type; nil: any.
	Admit func(from, to matrix.ServerName, typ string) bool
	// Announce puts into the outbox what changed in device lists up to a position of the stream.
	Announce func(ctx context.Context, upto int64) error
	// Within reports whether one server is another one of this installation as well: it is told by what is written here already, and
	// what it is told is recorded; nil: there is none.
	Within func(matrix.ServerName) bool
	// Returned, if set, is called when a server takes something that could not be reached before. It may wait; others wait for it.
	Returned func(ctx context.Context, server matrix.ServerName)
	// Reached, if set, is called now and then with a server that took events of some rooms, by their numbers. It may wait, too.
	Reached func(ctx context.Context, server matrix.ServerName, rooms []int64)
	// Began, if set, is called when this process begins to send: nobody did for a while, perhaps. It may wait.
	Began func(ctx context.Context)
	// Ledger records every transaction before it is sent; nil: nobody does.
	Ledger *ledger.Service
	// Signals are the ephemeral messages of other nodes; nil: there are none.
	Signals *bus.Bus[[]byte]
	Log     *slog.Logger
	// Clock may be nil for the wall clock.
	Clock func() time.Time
	// Tides are the pauses after which answers are read, all that are there at once; nil takes the usual ones.
	Tides []time.Duration
}

// Bounds of the sender.
const (
	maxPDUs       = 50  // Spec: server-server-api/#transactions
	maxEDUs       = 100 // the same
	maxUnderWay   = 256
	maxFailing    = 64 // of those under way to servers that failed before
	maxQueue      = 200
	maxEphemeral  = 500 // that wait for one destination,
	maxKept       = 100 // and of those that last for one that fails
	maxBody       = 4 << 20
	pageSize      = 500
	wholeCatchUp  = 100 // so many missed events are sent one by one; of more only the newest of each room
	longestPause  = time.Hour
	shortestPause = 200 * time.Millisecond
	calmPause     = 8 * time.Second // between attempts at a server that is gone for a while, so that its return is seen within ten
	pruneEvery    = time.Minute
	savesWithin   = time.Second
)

// Sender delivers. It may be used concurrently.
type Sender struct {
	Options
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}
	back   chan greeted // who is there
	lease  *lease.Lease
	stats  stats
	crew   *crew

	mu        sync.Mutex
	heard     map[matrix.ServerName]bool
	ephemeral []told
	moved     bool  // there may be new outbox rows
	upto      int64 // up to here; Why not the database's: subscribers hear of a batch before it moves
	lists     bool  // device lists may have changed
	holding   bool  // this node has the lease
	heardLast map[matrix.ServerName]time.Time
}

// told is an ephemeral message on its way to the goroutine that owns the destinations.
type told struct {
	from matrix.ServerName
	to   []matrix.ServerName
	key  string
	edu  core.EDU
}

// New makes a sender and lets it run until Close.
func New(o Options) *Sender {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Tides == nil {
		o.Tides = usualTides()
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sender{Options: o, cancel: cancel, wake: make(chan struct{}, 1), back: make(chan greeted, maxReturned), heard: map[matrix.ServerName]bool{}, crew: newCrew()}
	o.Bus.Subscribe(s.hear)
	if o.Signals != nil {
		o.Signals.Subscribe(s.signalled)
	}
	s.lease = lease.New(o.DB, "federation sender", o.Clock, o.Log)
	s.wg.Go(func() { s.lease.Hold(ctx, s.send, nil) })
	for range returnedAtOnce {
		if o.Returned != nil || o.Reached != nil {
			s.wg.Go(func() { s.greet(ctx) })
		}
	}
	return s
}

// Close stops sending. What was not sent is sent after the next start.
func (s *Sender) Close() {
	s.cancel()
	s.wg.Wait()
	s.crew.close()
}

// hear looks whether a batch holds something for the outbox.
func (s *Sender) hear(b storage.Batch) {
	found, lists := b.Remote, false
	for i := range b.Lives {
		l := &b.Lives[i]
		lists = lists || l.Kind == storage.KindDeviceList
		if found {
			continue
		}
		e, ok := l.Value.(*rooms.Stored)
		found = ok && e.Posted() || l.Kind == storage.KindOutbox
	}
	if found || lists {
		s.mu.Lock()
		s.moved = s.moved || found
		s.upto = max(s.upto, b.To)
		s.lists = s.lists || lists
		s.mu.Unlock()
		s.poke()
	}
}

func (s *Sender) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Heard notes that a server has spoken to us: it is there, so whatever waits for it is sent now.
func (s *Sender) Heard(server matrix.ServerName) {
	s.mu.Lock()
	elsewhere := !s.holding && !s.DB.Alone()
	if elsewhere {
		elsewhere = s.heardElsewhere(server)
	} else if len(s.heard) < maxQueue && !s.heard[server] {
		s.heard[server] = true
		s.poke()
	}
	s.mu.Unlock()
	if elsewhere {
		s.handOver(handed{Heard: server})
	}
}

// Tell sends an ephemeral message to some servers; one that still waits under the same key is replaced. It is lost when a
// server cannot be reached; receipts are kept for it, some of them, as long as this process sends.
func (s *Sender) Tell(from matrix.ServerName, to []matrix.ServerName, key string, edu core.EDU) {
	if len(to) == 0 {
		return
	}
	s.mu.Lock()
	elsewhere := !s.holding && !s.DB.Alone()
	if !elsewhere && len(s.ephemeral) < 4096 {
		s.ephemeral = append(s.ephemeral, told{from, to, key, edu})
	}
	s.mu.Unlock()
	if elsewhere {
		s.handOver(handed{From: from, To: to, Key: key, EDU: &edu})
		return
	}
	s.poke()
}

// send tells other servers, while this node has the lease.
func (s *Sender) send(ctx context.Context) error {
	s.hold(true)
	defer s.hold(false)
	return newDispatch(s).run(ctx)
}

// backOff is how long a server that has failed for some time is left alone: as long as it has failed, then eight seconds for four minutes,
// then a thirtieth of the time, at most an hour.
func backOff(failing time.Duration) time.Duration {
	d := min(max(failing, shortestPause), calmPause)
	d = min(max(failing/30, d), longestPause)
	return d - time.Duration(rand.Int64N(int64(d)/10+1)) //nolint:gosec // no secret
}

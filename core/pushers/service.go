package pushers

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"rempart/core"
	"rempart/core/lease"
	"rempart/core/push"
	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/bus"
	"rempart/storage"
)

// Options is what a service is made of.
type Options struct {
	DB    *storage.DB
	Bus   *bus.Bus[storage.Batch]
	Rooms *rooms.Service
	Rules *push.Service
	// Sync counts what is unread.
	Sync *syncing.Service
	// Gateway hands notifications over; nil refuses all pushers.
	Gateway core.PushGateway
	// Plain admits gateways that speak HTTP without TLS.
	Plain bool
	// Content sends what an event says to pushers that ask for it. Otherwise notifications name events only.
	Content bool
	// Tell is handed what owners of pushers should know about the policy, and must not block; nil tells nobody.
	Tell func(News)
	Log  *slog.Logger
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// Bounds of the telling.
const (
	maxUnderWay   = 64
	maxGate       = 32 // of those to one gateway
	maxQueue      = 16
	maxUsers      = 20_000  // whose unread counts are kept
	maxAudience   = 400_000 // pairs of room and user that are kept
	pageSize      = 500
	tooOld        = 24 * time.Hour
	givenUp       = 10 * time.Minute // after which a notification that a gateway refuses is left out
	longestPause  = 15 * time.Minute
	shortestPause = time.Second
	savesWithin   = time.Second
	savesAfter    = 2000 // positions, when nobody is told anything
)

// Service keeps pushers and tells them. It may be used concurrently.
type Service struct {
	Options
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}
	lease  *lease.Lease

	mu      sync.Mutex
	moved   bool
	upto    int64 // Why not the database's: subscribers hear of a batch before it moves
	changed map[int64]bool
	all     bool // all pushers are to be read again
	rejudge bool // gateways are to be judged again
	stats   Stats
}

// New makes a service and lets it tell until Close. Rooms, rules and sync must have subscribed to the bus before.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Gateway == nil {
		o.Gateway = closed{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{Options: o, cancel: cancel, wake: make(chan struct{}, 1), changed: map[int64]bool{}}
	o.Bus.Subscribe(s.hear)
	s.lease = lease.New(o.DB, "push", o.Clock, o.Log)
	s.wg.Go(func() { s.lease.Hold(ctx, s.tell, s.retired) })
	return s
}

// Close stops telling. What was not told is told after the next start.
func (s *Service) Close() {
	s.cancel()
	s.wg.Wait()
}

// hear looks whether a batch holds something that may notify. It never blocks.
func (s *Service) hear(b storage.Batch) {
	moved := b.Remote
	for i := range b.Lives {
		l := &b.Lives[i]
		switch l.Kind {
		case storage.KindPusher, storage.KindSession:
			s.note(l.User)
			moved = true
		case storage.KindReceipt, storage.KindMembership:
			moved = true
		case storage.KindEvent:
			e, ok := l.Value.(*rooms.Stored)
			moved = moved || !ok || l.User != 0 || e.Row.Flags&(storage.FlagNotify|storage.FlagHits) != 0
		}
	}
	if !moved {
		return
	}
	s.mu.Lock()
	s.moved, s.upto = true, max(s.upto, b.To)
	s.mu.Unlock()
	s.poke()
}

// Rejudge has all gateways judged again, by another policy: those that it refuses are told nothing more, and their pushers wait for a policy that
// admits them.
func (s *Service) Rejudge() {
	s.mu.Lock()
	s.rejudge = true
	s.mu.Unlock()
	s.poke()
}

func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// note remembers that a user's pushers are to be read again.
func (s *Service) note(user int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.changed) >= maxUsers {
		s.all = true
		clear(s.changed)
	}
	s.changed[user] = true
}

// news is what was heard since it was last asked for.
type news struct {
	moved   bool
	upto    int64
	changed map[int64]bool
	all     bool
	rejudge bool
}

func (s *Service) news() news {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := news{s.moved, max(s.upto, s.DB.Position()), s.changed, s.all, s.rejudge}
	s.moved, s.all, s.rejudge, s.changed = false, false, false, map[int64]bool{} // Why a new one though it may be empty: the old one is handed out
	return n
}

// tell tells gateways, while this node has the lease.
func (s *Service) tell(ctx context.Context) error { return newDispatch(s).run(ctx) }

// backOff is how long a gateway that has failed for some time is left alone.
func backOff(failing time.Duration) time.Duration {
	d := min(max(failing/5, shortestPause), longestPause)
	return d - time.Duration(rand.Int64N(int64(d)/10+1)) //nolint:gosec // no secret
}

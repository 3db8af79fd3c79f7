package ledger

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Options is what a ledger is made of.
type Options struct {
	DB  *storage.DB
	Key Key
	// Anchor is the file of the newest checkpoint, beside the database, by which a database that was put back is noticed; "" keeps
	// none.
	Anchor string
	// Lax lets leave what cannot be recorded, and counts it.
	Lax bool
	// Territory are the countries that nothing may leave; empty means [France].
	Territory []string
	// Place says in which country an address is, "" when it is not known; nil knows none.
	Place func(netip.Addr) string
	// Mission names the permission that somebody has to be in a country at a time, "" when he has none; nil knows none.
	Mission func(ctx context.Context, user matrix.UserID, country string, at time.Time) (string, error)
	// Witnesses are the public keys of those who may cosign checkpoints.
	Witnesses []string
	// Stores are where this server itself keeps things.
	Stores []Store
	// Keep is how long records are kept before they are sealed away; 0 keeps them for ever.
	Keep time.Duration
	Log  *slog.Logger
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// How often what is folded in memory is written, and a checkpoint is made.
const (
	outcomesEvery   = time.Second
	readsEvery      = 5 * time.Second
	checkpointEvery = time.Minute
	checkpointAfter = 1000 // records
	sealEvery       = time.Hour
	forgetEvery     = 10 * time.Minute
)

// Service is the ledger. It may be used concurrently.
type Service struct {
	Options
	db    *storage.DB
	log   *slog.Logger
	clock func() time.Time
	names names
	queue chan *group

	stopped chan struct{} // closed when nothing more is taken
	ended   chan struct{} // closed when what was taken is written
	ending  chan struct{} // closed when the keeper shall end
	due     chan struct{} // a checkpoint is due
	writing chan struct{} // holds one while somebody writes what was folded
	keeper  sync.WaitGroup
	writer  sync.WaitGroup

	size    atomic.Int64 // of the log, as far as this process knows
	signed  atomic.Int64 // the size of its newest checkpoint
	records atomic.Int64 // appended by this process
	later   later
}

// New opens the ledger and compares it with what its anchor says that it was. A ledger that was put back or forked goes on,
// with a record of what was found.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if len(o.Territory) == 0 {
		o.Territory = France()
	}
	s := &Service{Options: o, db: o.DB, log: o.Log, clock: o.Clock, names: names{db: o.DB, known: map[Name]string{}},
		queue: make(chan *group, maxWaiting), stopped: make(chan struct{}), ended: make(chan struct{}), ending: make(chan struct{}), due: make(chan struct{}, 1), writing: make(chan struct{}, 1)}
	found, err := s.compareAnchor(ctx)
	if err != nil {
		return nil, err
	}
	if c, err := s.db.FindLedgerCheckpoint(ctx); err == nil {
		s.signed.Store(c.Size)
	} else if !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	a := &appender{s: s}
	s.writer.Go(func() { defer close(s.ended); a.run() }) //nolint:contextcheck // it outlives the start
	if found != nil {
		s.log.Error("the ledger is not what it was", "found", found.Why, "known", found.From, "is", found.To)
		if err := s.append(ctx, &group{entries: []*entry{{rec: *found}}}); err != nil {
			close(s.stopped)
			s.writer.Wait()
			return nil, err
		}
	}
	s.keeper.Go(s.keep)
	return s, nil
}

// Close writes what is folded in memory, signs a last checkpoint and stops. Nothing can leave afterwards.
func (s *Service) Close() {
	close(s.ending)
	s.keeper.Wait()
	s.flush(true)
	if err := s.Checkpoint(context.Background()); err != nil {
		s.log.Error("the ledger's last checkpoint", "error", err)
	}
	close(s.stopped)
	s.writer.Wait()
}

// keep does what is to be done now and then.
func (s *Service) keep() {
	tick := time.NewTicker(outcomesEvery)
	defer tick.Stop()
	now := s.clock()
	reads, signed, sealed, forgot := now, now, now.Add(-sealEvery), now.Add(-forgetEvery)
	for {
		sign := false
		select {
		case <-s.ending:
			return
		case <-s.due:
			sign = true
		case <-tick.C:
		}
		now = s.clock()
		fold := now.Sub(reads) >= readsEvery
		s.flush(fold)
		if fold {
			reads = now
		}
		if sign || now.Sub(signed) >= checkpointEvery {
			signed = now
			if err := s.Checkpoint(context.Background()); err != nil {
				s.log.Error("sign a checkpoint of the ledger", "error", err)
			}
		}
		if now.Sub(forgot) >= forgetEvery {
			forgot = now
			if err := s.ForgetErased(context.Background()); err != nil {
				s.log.Error("forget in the ledger who was erased", "error", err)
			}
		}
		if s.Keep > 0 && now.Sub(sealed) >= sealEvery {
			sealed = now
			if err := s.Seal(context.Background(), now.Add(-s.Keep)); err != nil {
				s.log.Error("seal the ledger", "error", err)
			}
		}
	}
}

// grown notes how long the log is, and whether a checkpoint is due.
func (s *Service) grown(size int64) {
	s.records.Add(size - s.size.Swap(size))
	if size-s.signed.Load() >= checkpointAfter {
		s.poke()
	}
}

func (s *Service) poke() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// Size is how many records the log has, as far as this process knows.
func (s *Service) Size() int64 { return s.size.Load() }

// Signed is how many records the newest checkpoint signs, as far as this process knows.
func (s *Service) Signed() int64 { return s.signed.Load() }

// Origin is the name under which this log is signed: the server's.
func (s *Service) Origin() string { return s.Key.signer.Name() }

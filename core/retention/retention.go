// Package retention deletes, in the background, what nobody needs any more: entries of the stream that all nodes have
// heard, transaction ids that no client repeats, messages for devices that do not come back, messages of rooms that have had their
// day, and room states that only purged events needed. Each kind is a job with a lease, so that of several nodes one does it, in pieces between live
// writes. It decides when; storage and rooms know how.
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Keep says for how long things are kept; a zero takes the default.
type Keep struct {
	// Changes are the entries of the stream. A node that hangs for longer must be restarted; default a week.
	Changes time.Duration
	// Transactions are the ids by which clients may repeat a request; default 30 days.
	Transactions time.Duration
	// ToDevice is how long after a device was last seen its queue is kept; default 180 days.
	ToDevice time.Duration
}

// The defaults of [Keep].
const (
	day                 = 24 * time.Hour
	defaultChanges      = 7 * day
	defaultTransactions = 30 * day
	defaultToDevice     = 180 * day
)

// Rooms deletes what has had its day in rooms, and folds their states.
type Rooms interface {
	Fold(ctx context.Context, f rooms.Folding) error
	ExpireMessages(ctx context.Context) (int, error)
}

// Options is what the service is made of.
type Options struct {
	DB    *storage.DB
	Rooms Rooms
	Keep  Keep
	Log   *slog.Logger
	// Clock is the time; default time.Now.
	Clock func() time.Time
}

// Service does the work. Its methods may be called concurrently.
type Service struct {
	o     Options
	works []work
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// work is a kind of jobs. Those with a number come again every so often; the others are made by whoever needs them.
type work struct {
	kind  string
	nid   int64
	every time.Duration
	do    func(ctx context.Context, body []byte) error
}

const (
	lookEvery = 30 * time.Second
	lease     = 15 * time.Minute
	retry     = 10 * time.Minute
)

// New starts the work; it goes on until Close.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Keep.fill()
	s := &Service{o: o}
	s.works = []work{
		{"retention.changes", -1, time.Hour, s.changes},
		{"retention.transactions", -2, 6 * time.Hour, s.transactions},
		{"retention.todevice", -3, 6 * time.Hour, s.toDevice},
		{"retention.messages", -4, 6 * time.Hour, s.messages},
		{rooms.FoldJob, 0, 0, s.fold},
	}
	if err := s.keepJobs(ctx); err != nil {
		return nil, fmt.Errorf("background jobs: %w", err)
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.ended.Go(func() { s.run(ctx) })
	return s, nil
}

// keepJobs makes those jobs that are missing. Why it looks first: each start but the first finds all, and a commit would
// have it wait for the disk.
func (s *Service) keepJobs(ctx context.Context) error {
	have, err := s.o.DB.ListKeptJobs(ctx)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	for _, w := range s.works {
		if w.nid != 0 && !slices.Contains(have, w.nid) {
			c.Guard(storage.KeepJob(w.nid, w.kind))
		}
	}
	if len(c.Guards) == 0 {
		return nil
	}
	return s.o.DB.Commit(ctx, c)
}

func (k *Keep) fill() {
	for _, p := range []struct {
		have *time.Duration
		def  time.Duration
	}{{&k.Changes, defaultChanges}, {&k.Transactions, defaultTransactions}, {&k.ToDevice, defaultToDevice}} {
		if *p.have == 0 {
			*p.have = p.def
		}
	}
}

// Close ends the work and waits for it.
func (s *Service) Close() {
	s.stop()
	s.ended.Wait()
}

func (s *Service) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.Due(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error("background jobs", "error", err)
		}
	}
}

// Due does all work that is due now and that no other node has taken.
func (s *Service) Due(ctx context.Context) error {
	for _, w := range s.works {
		jobs, err := s.o.DB.ListDueJobs(ctx, w.kind, s.now(), 10)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if err := s.one(ctx, w, j); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) now() int64 { return s.o.Clock().UnixMilli() }

func (s *Service) one(ctx context.Context, w work, j storage.Job) error {
	c := &storage.Change{}
	c.Guard(s.o.DB.LeaseJob(j.NID, s.now(), s.now()+lease.Milliseconds()))
	if err := s.o.DB.Commit(ctx, c); err != nil {
		if errors.Is(err, storage.ErrGuard) {
			return nil // another node has it
		}
		return err
	}
	err := w.do(ctx, j.Body)
	if ctx.Err() != nil {
		return ctx.Err() // the lease ends by itself; whoever runs then goes on
	}
	c = &storage.Change{}
	switch {
	case err != nil:
		s.o.Log.Warn("background job", "kind", w.kind, "error", err, "tries", j.Tries)
		c.Guard(storage.RetryJob(j.NID, s.now()+retry.Milliseconds(), err.Error()))
	case w.every > 0:
		c.Guard(storage.RetryJob(j.NID, s.now()+w.every.Milliseconds(), ""))
	default:
		c.Guard(storage.DeleteJob(j.NID))
	}
	return s.o.DB.Commit(ctx, c)
}

func (s *Service) before(keep time.Duration) int64 { return s.now() - keep.Milliseconds() }

func (s *Service) changes(ctx context.Context, _ []byte) error {
	if err := s.o.DB.MarkStream(ctx, s.now()); err != nil {
		return err
	}
	n, err := s.o.DB.PruneChanges(ctx, s.before(s.o.Keep.Changes))
	return s.told("entries of the stream", n, err)
}

func (s *Service) transactions(ctx context.Context, _ []byte) error {
	n, err := s.o.DB.PruneTransactions(ctx, s.before(s.o.Keep.Transactions))
	return s.told("transaction ids", int64(n), err)
}

func (s *Service) toDevice(ctx context.Context, _ []byte) error {
	n, err := s.o.DB.PruneToDevice(ctx, s.before(s.o.Keep.ToDevice))
	return s.told("queues of lost devices", int64(n), err)
}

func (s *Service) messages(ctx context.Context, _ []byte) error {
	n, err := s.o.Rooms.ExpireMessages(ctx)
	return s.told("messages that have had their day", int64(n), err)
}

func (s *Service) told(what string, n int64, err error) error {
	if n > 0 {
		s.o.Log.Info("pruned", "what", what, "count", n)
	}
	return err
}

func (s *Service) fold(ctx context.Context, body []byte) error {
	var f rooms.Folding
	if err := matrix.Decode(body, &f); err != nil {
		return err
	}
	return s.o.Rooms.Fold(ctx, f)
}

// Package delayed keeps events that clients want sent later, and sends them when their time has come: MSC4140. It asks
// core/rooms to send, which judges them then as it would judge any event; who may write is not asked before.
//
// An event is sent exactly once, whatever node does it and whenever a node stops: the end of its waiting is written in
// the Change that writes the event.
package delayed

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Limits of what is kept.
const (
	// MaxDelay is the longest delay.
	MaxDelay = 30 * 24 * time.Hour
	// MaxScheduled is how many events of a user may wait.
	MaxScheduled = 100
	// keepFor and keepMost bound what is kept of events whose waiting has ended.
	keepFor  = 7 * 24 * time.Hour
	keepMost = 1000
)

// Options say what the service rests on.
type Options struct {
	DB    *storage.DB
	Rooms *rooms.Service
	// Allow is asked before an event of a user is sent, so that many at one time do not pass his limits; nil allows all.
	Allow func(matrix.UserID) error
	Log   *slog.Logger
	// Clock is the time; default time.Now.
	Clock func() time.Time
}

// Service schedules events and sends them. Its methods may be called concurrently.
type Service struct {
	Options
	run    context.Context //nolint:containedctx // Why: it ends the worker
	cancel context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{}
}

// New makes the service and starts to send.
func New(ctx context.Context, o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{Options: o, wake: make(chan struct{}, 1)}
	s.run, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.done.Go(s.work)
	return s
}

// Close stops sending and waits for what is under way.
func (s *Service) Close() {
	s.cancel()
	s.done.Wait()
}

func (s *Service) nowMS() int64 { return s.Clock().UnixMilli() }

// hurry makes the worker look again.
func (s *Service) hurry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

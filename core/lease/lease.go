// Package lease gives a piece of work to one node at a time: telling other servers, push gateways, application services.
//
// A node holds the lease for some seconds and renews it while it works; when it stops, hangs or dies another takes over.
// What the work writes carries the guard [Lease.Held], so that a node that slept past its lease writes nothing.
package lease

import (
	"context"
	"log/slog"
	"time"

	"rempart/storage"
)

// How long a lease lasts, and how often it is renewed, or asked for by who does not have it.
const (
	life    = 5 * time.Second
	renewal = 1500 * time.Millisecond
	// alone is for a database that one process has to itself: there a lease need not be renewed.
	alone = time.Hour
)

// Lease is the right to one piece of work. It belongs to the goroutine that calls Hold.
type Lease struct {
	db      *storage.DB
	name    string
	now     func() time.Time
	log     *slog.Logger
	renewed time.Time
}

// New makes the lease of a piece of work; the name is the same on all nodes.
func New(db *storage.DB, name string, now func() time.Time, log *slog.Logger) *Lease {
	return &Lease{db: db, name: name, now: now, log: log}
}

// Hold does the work whenever this node has the lease, until the context ends. Work that ends with an error begins again
// after a pause, here or elsewhere. idle, which may be nil, is called each time another node is found to have the lease.
func (l *Lease) Hold(ctx context.Context, work func(context.Context) error, idle func()) {
	for ctx.Err() == nil {
		if l.take(ctx) != nil {
			if idle != nil {
				idle()
			}
			pause(ctx, renewal)
			continue
		}
		if err := work(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("work of one node begins again", "work", l.name, "error", err)
			pause(ctx, renewal)
		}
	}
}

// Renew keeps the lease, when it is time to. The work ends when it fails.
func (l *Lease) Renew(ctx context.Context) error {
	if l.db.Alone() || l.now().Sub(l.renewed) < renewal {
		return nil
	}
	return l.take(ctx)
}

// Held is the guard of what only the holder may write.
func (l *Lease) Held() storage.Guard { return l.db.HoldsLease(l.name) }

// Release is the guard that lets another node have the work at once.
func (l *Lease) Release() storage.Guard { return l.db.ReleaseLease(l.name) }

func (l *Lease) take(ctx context.Context) error {
	now := l.now()
	until, free := now.Add(life), now
	if l.db.Alone() { // the folder's lock says that whoever held it before is gone
		until, free = now.Add(alone), now.AddDate(100, 0, 0)
	}
	c := &storage.Change{}
	c.Guard(l.db.TakeLease(l.name, free.UnixMilli(), until.UnixMilli()))
	if err := l.db.Commit(ctx, c); err != nil {
		return err
	}
	l.renewed = now
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

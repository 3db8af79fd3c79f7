package storage

import (
	"context"
	"net"
	"time"

	"github.com/lib/pq"
)

// dialer hands the driver the way out that the database was given.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Dial implements [pq.Dialer].
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d(context.Background(), network, address)
}

// DialTimeout implements [pq.Dialer].
func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d(ctx, network, address)
}

// DialContext implements [pq.DialerContext].
func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d(ctx, network, address)
}

// newListener makes the connection that hears of other nodes' commits.
func (f *follower) newListener() *pq.Listener {
	const soonest, latest = 100 * time.Millisecond, 2 * time.Second
	if f.db.opts.Dial == nil {
		return pq.NewListener(f.db.dsn, soonest, latest, f.event)
	}
	return pq.NewDialListener(dialer(f.db.opts.Dial), f.db.dsn, soonest, latest, f.event)
}

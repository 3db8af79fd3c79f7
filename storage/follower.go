package storage

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/lib/pq"
)

// notifyChannel carries the last position of every commit to other nodes, and nothing else.
const notifyChannel = "rempart"

// How often other nodes' changes are looked for without being told of any, and how long one look may take. On SQLite
// nobody tells: what a command beside the running server changes, as the end of all sessions, holds after a quarter of a
// second at most.
const (
	followEvery     = time.Second
	followFileEvery = time.Second / 4
	followWithin    = 5 * time.Second
)

// follower hears what other nodes commit and say. A lost notification costs a second and nothing else: it looks at
// every wake-up, at every tick and after each reconnect, from the last published position on.
type follower struct {
	db       *DB
	listener *pq.Listener // nil on SQLite
	signals  *signals     // nil on SQLite
	stop     context.CancelFunc
	wait     sync.WaitGroup

	mu   sync.Mutex
	asks *sql.Stmt     // for the position; nil until it is asked for
	next *look         // that will begin next; nil: nobody wants one
	turn chan struct{} // full while a look is under way
}

// look is one look for what other processes have committed, on behalf of all who wanted it before it began.
type look struct {
	answered chan struct{}
	err      error // read after answered
	dropped  bool  // likewise: who was to ask went away
}

func newFollower(db *DB) *follower {
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{db: db, stop: stop, turn: make(chan struct{}, 1)}
	var notes <-chan *pq.Notification
	if db.dialect.arrays {
		f.listener = f.newListener()
		notes = f.listener.NotificationChannel()
		f.signals = newSignals(db)
		f.wait.Go(f.listen)
		f.wait.Go(func() { f.signals.run(ctx) })
	}
	f.wait.Go(func() { f.run(ctx, notes) })
	return f
}

// listen asks for both channels; the listener asks again by itself after a reconnect.
func (f *follower) listen() {
	for _, name := range []string{notifyChannel, signalChannel} {
		if err := f.listener.Listen(name); err != nil && !errors.Is(err, pq.ErrChannelAlreadyOpen) {
			f.db.log.Warn("listen for other nodes", "channel", name, "error", err)
		}
	}
}

func (f *follower) event(e pq.ListenerEventType, err error) {
	if err != nil {
		f.db.log.Warn("connection that listens for other nodes", "event", e.String(), "error", err)
	}
}

func (f *follower) close() {
	f.stop()
	if f.listener != nil {
		_ = f.listener.Close()
	}
	f.wait.Wait()
	if f.signals != nil {
		f.signals.close()
	}
}

func (f *follower) run(ctx context.Context, notes <-chan *pq.Notification) {
	every := followEvery
	if !f.db.dialect.arrays {
		every = followFileEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.catchUp(ctx)
		case n, open := <-notes:
			switch {
			case !open:
				notes = nil
			case n == nil: // reconnected
				f.catchUp(ctx)
			case n.Channel == signalChannel:
				f.signals.receive(n.Extra)
			default:
				f.told(ctx, n.Extra)
			}
		}
	}
}

// told looks for changes unless the position is one that this process has published, as its own commits are.
func (f *follower) told(ctx context.Context, payload string) {
	pos, err := strconv.ParseInt(payload, 10, 64)
	c := f.db.committer
	if err != nil || pos <= c.published.Load() {
		return
	}
	c.publishing.Lock() // an own commit may just be on its way to its subscribers
	behind := pos > c.published.Load()
	c.publishing.Unlock()
	if behind {
		f.catchUp(ctx)
	}
}

// catchUp publishes all that was committed and not yet published here.
func (f *follower) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, followWithin)
	defer cancel()
	if err := f.follow(ctx); err != nil && ctx.Err() == nil {
		f.db.log.Warn("look for changes of other nodes", "error", err)
	}
}

// CatchUp publishes all that other processes have committed so far, without waiting for the word of it.
// Why: who has been answered by one node may ask the next thing of another.
func (db *DB) CatchUp(ctx context.Context) error { return db.follower.share(ctx) }

// share looks once for all who ask at the same time. Why: after a restart everybody does. Who comes after a look has begun takes the next,
// since that one may have missed what he knows of.
func (f *follower) share(ctx context.Context) error {
	for {
		q, first := f.join()
		if first {
			f.answer(ctx, q)
			return q.err
		}
		select {
		case <-q.answered:
			if !q.dropped {
				return q.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// join is the look that is to begin next; first: the caller has to make it.
func (f *follower) join() (q *look, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next, first = &look{answered: make(chan struct{})}, true
	}
	return f.next, first
}

// answer looks, once the look under way has ended.
func (f *follower) answer(ctx context.Context, q *look) {
	defer close(q.answered)
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
	}
	f.mu.Lock()
	f.next = nil
	f.mu.Unlock()
	q.err = f.follow(ctx)
	q.dropped = ctx.Err() != nil
}

func (f *follower) follow(ctx context.Context) error {
	c := f.db.committer
	for {
		var pos, epoch int64
		asks, err := f.asking(ctx) //nolint:sqlclosecheck // it is closed with the pool
		if err == nil {
			err = asks.QueryRowContext(ctx).Scan(&pos, &epoch)
		}
		if err != nil {
			return err
		}
		if epoch != c.epoch || c.lost.Load() {
			return c.abandon()
		}
		if pos <= c.published.Load() {
			return nil
		}
		if err := f.publishNext(ctx, pos); err != nil {
			return err
		}
	}
}

// asking is the statement that asks for the position. Why it stays prepared: it is asked four times a second, also when nothing happens.
func (f *follower) asking(ctx context.Context) (_ *sql.Stmt, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asks == nil {
		f.asks, err = f.db.follow.PrepareContext(ctx, `SELECT pos, epoch FROM stream WHERE id = 1`)
	}
	return f.asks, err
}

func (f *follower) publishNext(ctx context.Context, pos int64) error {
	c := f.db.committer
	c.publishing.Lock()
	defer c.publishing.Unlock()
	if pos <= c.published.Load() {
		return nil
	}
	return c.publishRemote(ctx, f.db.follow, pos)
}

package storage

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
)

// maxBatch bounds how many Changes share a transaction: beyond it more gains nothing and a failure costs more.
const maxBatch = 256

// committer is the only writer. It takes all Changes that wait, writes them in one transaction and goes on: no
// timer, a lonely Change waits for nobody.
//
// Lock order: a room's lock (above), then a queue slot was taken before it; the committer itself takes no lock of
// anybody but publishing.
type committer struct {
	db    *DB
	queue chan *Change
	slots chan struct{} // one token for each free place in the queue
	done  chan struct{}

	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	epoch int64
	batch int64 // number of the last batch that this process tried to commit

	publishing sync.Mutex // held from COMMIT until the batch is published
	published  atomic.Int64
	closed     chan struct{}
	closeOnce  sync.Once
}

func newCommitter(ctx context.Context, db *DB) (*committer, error) {
	c := &committer{
		db: db, queue: make(chan *Change, db.opts.Queue), slots: make(chan struct{}, db.opts.Queue),
		done: make(chan struct{}), closed: make(chan struct{}),
	}
	for range db.opts.Queue {
		c.slots <- struct{}{}
	}
	if err := c.reconnect(ctx); err != nil {
		return nil, err
	}
	var pos int64
	if err := c.conn.QueryRowContext(ctx, `SELECT pos, epoch FROM stream WHERE id = 1`).Scan(&pos, &c.epoch); err != nil {
		return nil, err
	}
	c.published.Store(pos)
	go c.run()
	return c, nil
}

// Slot is a reserved place in the committer's queue. Take it before a room lock, so that no one waits for the
// database while he holds a room.
type Slot struct{ c *committer }

// Reserve waits for a place in the queue.
func (db *DB) Reserve(ctx context.Context) (Slot, error) {
	select {
	case <-db.committer.closed:
		return Slot{}, ErrClosed
	default:
	}
	select {
	case <-db.committer.slots:
		return Slot{db.committer}, nil
	case <-ctx.Done():
		return Slot{}, ctx.Err()
	case <-db.committer.closed:
		return Slot{}, ErrClosed
	}
}

// Submit queues the Change without blocking. The slot is used up.
func (s Slot) Submit(c *Change) {
	c.done = make(chan error, 1)
	s.c.queue <- c
}

// Release gives an unused slot back.
func (s Slot) Release() { s.c.slots <- struct{}{} }

func (c *committer) run() {
	defer close(c.done)
	for {
		select {
		case first := <-c.queue:
			c.commit(c.take(first))
		case <-c.closed:
			for { // what was queued before the close is written
				select {
				case first := <-c.queue:
					c.commit(c.take(first))
				default:
					return
				}
			}
		}
	}
}

func (c *committer) take(first *Change) []*Change {
	batch := []*Change{first}
	for len(batch) < maxBatch {
		select {
		case next := <-c.queue:
			batch = append(batch, next)
		default:
			for range batch {
				c.slots <- struct{}{}
			}
			return batch
		}
	}
	for range batch {
		c.slots <- struct{}{}
	}
	return batch
}

func (c *committer) close() {
	c.closeOnce.Do(func() { close(c.closed) })
	<-c.done
	_ = c.conn.Close()
}

// commit writes a batch and answers every waiter. If the transaction itself fails, its Changes are tried one by
// one, once, so that only the guilty one is dropped.
func (c *committer) commit(batch []*Change) {
	err := c.attempt(batch)
	if err != nil && len(batch) > 1 {
		c.db.log.Warn("commit failed, trying its changes one by one", "changes", len(batch), "error", err)
		for _, ch := range batch {
			if e := c.attempt([]*Change{ch}); e != nil {
				ch.err = e
			}
		}
	} else if err != nil {
		batch[0].err = err
	}
	for _, ch := range batch {
		for i := range ch.Rooms {
			ch.Rooms[i].After = nil // else all history would stay in memory
		}
		ch.done <- ch.err
	}
}

// attempt runs one transaction. Changes whose guards fail are dropped from it and carry their error.
func (c *committer) attempt(batch []*Change) error {
	ctx := context.Background() // Why: a cancellable context starts a watcher for every statement.
	for _, ch := range batch {
		ch.err = nil
	}
	c.batch++
	w := &writer{c: c, batch: batch}
	if err := w.write(ctx); err != nil {
		return c.abort(ctx, err)
	}
	c.publishing.Lock()
	defer c.publishing.Unlock()
	if _, err := c.exec(ctx, "COMMIT"); err != nil {
		if committed := c.outcome(ctx, err); !committed {
			return fmt.Errorf("commit: %w", err)
		}
	}
	c.publishLocked(ctx, Batch{After: w.base, To: w.pos, Lives: w.lives})
	return nil
}

// abort rolls back; if even that fails the connection is replaced.
func (c *committer) abort(ctx context.Context, cause error) error {
	if _, err := c.exec(ctx, "ROLLBACK"); err != nil {
		if err := c.reconnect(ctx); err != nil {
			c.db.log.Error("reconnect to the database", "error", err)
		}
	}
	return cause
}

// reconnect replaces the writing connection and forgets its statements.
func (c *committer) reconnect(ctx context.Context) error {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	conn, err := c.db.write.Conn(ctx)
	if err != nil {
		return err
	}
	c.conn, c.stmts = conn, map[string]*sql.Stmt{}
	return nil
}

// prepared returns a statement of the writing connection that stays prepared.
func (c *committer) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if st, ok := c.stmts[text]; ok {
		return st, nil
	}
	if len(c.stmts) > 1024 { // statements vary with the tables of a batch; start over rather than grow
		for k, st := range c.stmts {
			_ = st.Close()
			delete(c.stmts, k)
		}
	}
	st, err := c.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %.80q: %w", text, err)
	}
	c.stmts[text] = st
	return st, nil
}

func (c *committer) exec(ctx context.Context, text string, args ...any) (int64, error) {
	// Why: PostgreSQL cannot prepare transaction control to any use, and lib/pq sends it in one round trip as it is.
	if len(args) == 0 && c.db.dialect.arrays {
		_, err := c.conn.ExecContext(ctx, text)
		return 0, err
	}
	st, err := c.prepared(ctx, text)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (c *committer) query(ctx context.Context, text string, args []any, scan func(*sql.Rows) error) (int, error) {
	st, err := c.prepared(ctx, text)
	if err != nil {
		return 0, err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
		if err := scan(rows); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// committer is the only writer. It takes all Changes that wait, writes them in one transaction and goes on: no
// timer, a lonely Change waits for nobody.
//
// It takes no lock of anybody but publishing, and no connection but its own: it goes on whatever readers do.
type committer struct {
	*session
	db    *DB
	queue *queue
	done  chan struct{} // closed when run has ended

	w     writer // kept from batch to batch for its buffers
	epoch int64
	batch int64 // number of the last batch that this process tried to commit

	pieceRows atomic.Int64 // how many rows make a bulk piece of about bulkPiece
	bulkPause time.Time    // until when live Changes have the committer for themselves

	publishing sync.Mutex // held from COMMIT until the batch is published
	published  atomic.Int64
	lost       atomic.Bool // see abandon
	abandoned  chan struct{}
}

func newCommitter(ctx context.Context, db *DB) (*committer, error) {
	c := &committer{session: newSession(db), db: db, queue: newQueue(db.opts.Queue), done: make(chan struct{}), abandoned: make(chan struct{})}
	c.w = newWriter(c)
	c.pieceRows.Store(bulkFirstPiece)
	if err := c.reconnect(ctx); err != nil {
		return nil, err
	}
	var pos int64
	if err := c.conn.QueryRowContext(ctx, `SELECT pos, epoch FROM stream WHERE id = 1`).Scan(&pos, &c.epoch); err != nil {
		return nil, err
	}
	old := nowMS() - nodesKept.Milliseconds()
	if _, err := c.conn.ExecContext(ctx, `DELETE FROM nodes WHERE seen < $1`, old); err != nil {
		return nil, err
	}
	c.published.Store(pos)
	go c.run()
	return c, nil
}

// nodesKept is how long the row of a process that has stopped is kept.
const nodesKept = 7 * 24 * time.Hour

func (c *committer) run() {
	defer close(c.done)
	batch := make([]*Change, 0, maxBatch)
	for {
		bulk, pause := c.bulkTurn()
		select {
		case first := <-c.queue.changes:
			c.queue.slots <- struct{}{}
			c.commit(c.queue.take(append(batch, first)))
		case first := <-c.queue.direct:
			c.commit(c.queue.take(append(batch, first)))
		case piece := <-bulk:
			c.commitPiece(piece)
		case <-pause:
		case <-c.queue.closed: // what was queued before the close is written
			if left := c.queue.take(batch); len(left) > 0 {
				c.commit(left)
				break
			}
			return
		}
		clear(batch[:cap(batch)])
	}
}

// close writes what is queued and stops.
func (c *committer) close() {
	c.queue.close()
	<-c.done
	c.discard()
}

// commit writes a batch and answers every waiter. If the transaction itself fails, its Changes are tried one by
// one, once, so that only the guilty one is dropped.
func (c *committer) commit(batch []*Change) {
	err := c.persist(batch)
	switch {
	case err == nil:
	case len(batch) == 1 || errors.Is(err, ErrRestored) || c.db.dialect.transient(err):
		for _, ch := range batch {
			ch.err = err
		}
	default:
		c.db.log.Warn("commit failed, trying its changes one by one", "changes", len(batch), "error", err)
		for i, ch := range batch {
			if err := c.persist(batch[i : i+1]); err != nil {
				ch.err = err
			}
		}
	}
	for _, ch := range batch {
		for i := range ch.Rooms {
			ch.Rooms[i].After = nil // else all history would stay in memory
		}
		ch.done <- ch.err
	}
}

// How often and how long a batch is tried while the database does not answer.
const (
	retryFor  = 10 * time.Second
	retryWait = 20 * time.Millisecond
	retryMax  = time.Second
)

// errCommit says that the transaction could be written but not committed, and that it took no effect.
var errCommit = errors.New("storage: commit failed")

// persist makes attempts until one reaches the database or the database has been away for too long. An attempt that
// failed wrote nothing: see [committer.outcome].
func (c *committer) persist(batch []*Change) error {
	var began time.Time
	recommitted := false
	for wait := retryWait; ; wait = min(2*wait, retryMax) {
		err := c.attempt(batch)
		if errors.Is(err, errCommit) && !recommitted {
			recommitted = true
			continue
		}
		if err == nil || !c.db.dialect.transient(err) {
			return err
		}
		if began.IsZero() {
			began = time.Now()
			c.db.log.Warn("the database does not answer, trying again", "error", err)
			continue // a connection that died while it was idle is replaced without waiting
		}
		if time.Since(began) > retryFor {
			return err
		}
		time.Sleep(wait) //nolint:forbidigo // Why: nothing tells when a database is back; it can only be asked again
	}
}

// attempt runs one transaction. Changes whose guards fail are dropped from it and carry their error.
func (c *committer) attempt(batch []*Change) error {
	ctx := context.Background() // Why: a cancellable context starts a watcher for every statement.
	for _, ch := range batch {
		ch.err = nil
	}
	c.batch++
	defer c.w.forget()
	if err := c.write(ctx, batch); err != nil {
		c.abort(ctx)
		return err
	}
	c.publishing.Lock()
	defer c.publishing.Unlock()
	if err := c.control(ctx, "COMMIT"); err != nil && !c.outcome(ctx, err) {
		return fmt.Errorf("%w: %w", errCommit, err)
	}
	c.publishLocked(ctx, Batch{After: c.w.base, To: c.w.pos, Lives: c.w.lives})
	return nil
}

// write fills the transaction. A row that cannot be written because of a mistake in the program fails its Change,
// not the process.
func (c *committer) write(ctx context.Context, batch []*Change) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("storage: a change cannot be written: %v", p)
		}
	}()
	return c.w.write(ctx, batch)
}

// abort rolls back; if even that fails the connection is replaced.
func (c *committer) abort(ctx context.Context) {
	if c.control(ctx, "ROLLBACK") == nil {
		return
	}
	if err := c.reconnect(ctx); err != nil {
		c.db.log.Error("reconnect to the database", "error", err)
	}
}

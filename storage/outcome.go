package storage

import (
	"context"
	"database/sql"
	"errors"
	"runtime/debug"
	"time"
)

// outcome finds out whether a commit whose answer was an error took effect, by the batch number that the same
// transaction wrote to this process's row. It asks until the database answers: nobody may be told anything before.
func (c *committer) outcome(ctx context.Context, cause error) (committed bool) {
	c.db.log.Error("commit of unknown outcome, asking the database", "error", cause)
	_ = c.control(ctx, "ROLLBACK")
	for wait := retryWait; ; wait = min(2*wait, retryMax) {
		batch, err := c.lastBatch(ctx)
		if err == nil {
			c.db.log.Info("the outcome is known", "committed", batch == c.batch)
			return batch == c.batch
		}
		c.db.log.Error("still asking for the outcome of a commit", "error", err)
		time.Sleep(wait) //nolint:forbidigo // Why: nothing tells when a database is back; it can only be asked again
	}
}

// lastBatch reads, on a new connection, the number of the last batch of this process that took effect; 0 for none.
// Why the stream's lock: the old connection's transaction may still be on its way to its end, and holds it until then.
func (c *committer) lastBatch(ctx context.Context) (batch int64, err error) {
	if err := c.reconnect(ctx); err != nil {
		return 0, err
	}
	if _, _, err := c.lockStream(ctx, 0); err != nil {
		return 0, err
	}
	err = c.conn.QueryRowContext(ctx, `SELECT batch FROM nodes WHERE node = $1`, c.db.node).Scan(&batch)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	return batch, c.control(ctx, "ROLLBACK")
}

// publishLocked hands a batch to the subscriber, after whatever other nodes committed before it. It does not give
// up on these: a batch that is left out would never be heard of.
func (c *committer) publishLocked(ctx context.Context, b Batch) {
	for wait := retryWait; c.published.Load() < b.After; wait = min(2*wait, retryMax) {
		err := c.publishRemote(ctx, c.conn, b.After)
		if err == nil {
			continue
		}
		c.db.log.Error("read changes of other nodes", "error", err)
		if errors.Is(err, ErrRestored) {
			break
		}
		time.Sleep(wait) //nolint:forbidigo // Why: nothing tells when a database is back; it can only be asked again
		if err := c.reconnect(ctx); err != nil {
			c.db.log.Error("reconnect to the database", "error", err)
		}
	}
	c.publish(b)
}

// publish hands one batch on. A panic of a subscriber is his own: what was committed must be answered.
func (c *committer) publish(b Batch) {
	defer c.published.Store(max(b.To, c.published.Load()))
	if len(b.Lives) == 0 || c.db.opts.Publish == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.db.log.Error("a subscriber of commits panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	c.db.opts.Publish(b)
}

// maxRemote bounds how many entries of other nodes are published as one batch.
const maxRemote = 4096

type querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// publishRemote publishes the next entries after the last published one, up to and with the position to, as a batch
// of another node. The publishing lock is held.
func (c *committer) publishRemote(ctx context.Context, from querier, to int64) error {
	after := c.published.Load()
	b := Batch{After: after, To: after, Remote: true}
	rows, err := from.QueryContext(ctx, `SELECT pos, kind, room, usr FROM changes WHERE pos > $1 AND pos <= $2 ORDER BY pos LIMIT $3`,
		after, to, int64(maxRemote))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var l Live
		if err := rows.Scan(&l.Pos, &l.Kind, &l.Room, &l.User); err != nil {
			return err
		}
		if b.To == after && l.Pos != after+1 {
			return c.lose(after, l.Pos)
		}
		b.Lives, b.To = append(b.Lives, l), l.Pos
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if b.To == after {
		return c.lose(after, to)
	}
	c.publish(b)
	return nil
}

// lose ends this process's part: entries that it has not heard of were pruned, so that what it has in memory can no
// longer be brought up to date.
func (c *committer) lose(after, to int64) error {
	c.db.log.Error("this process slept longer than the stream's entries are kept", "from", after+1, "to", to)
	return c.abandon()
}

// abandon ends this process's part: it writes nothing more, and whoever runs it hears of it by [DB.Lost].
func (c *committer) abandon() error {
	if c.lost.CompareAndSwap(false, true) {
		close(c.abandoned)
	}
	return ErrRestored
}

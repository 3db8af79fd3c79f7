package storage

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// outcome finds out whether a commit whose answer was an error took effect, by the batch number that the same
// transaction wrote to this process's row. It asks until the database answers: nobody may be told anything before.
func (c *committer) outcome(ctx context.Context, cause error) bool {
	c.db.log.Error("commit of unknown outcome, asking the database", "error", cause)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		_, _ = c.conn.ExecContext(ctx, "ROLLBACK")
		if err := c.reconnect(ctx); err == nil {
			var batch int64
			err := c.conn.QueryRowContext(ctx, `SELECT batch FROM nodes WHERE node = $1`, c.db.node).Scan(&batch)
			if err == nil || errors.Is(err, sql.ErrNoRows) {
				return err == nil && batch == c.batch
			}
		}
		time.Sleep(wait)
	}
}

// publishLocked hands a batch to the subscriber, after whatever other nodes committed before it.
func (c *committer) publishLocked(ctx context.Context, b Batch) {
	if seen := c.published.Load(); seen < b.After {
		if err := c.readRemote(ctx, seen, b.After); err != nil {
			c.db.log.Error("read changes of other nodes", "error", err)
		}
	}
	c.publish(b)
}

func (c *committer) publish(b Batch) {
	if len(b.Lives) > 0 && c.db.opts.Publish != nil {
		c.db.opts.Publish(b)
	}
	c.published.Store(max(b.To, c.published.Load()))
}

// readRemote publishes the changes in (after, to] as a remote batch. publishing is held.
func (c *committer) readRemote(ctx context.Context, after, to int64) error {
	b := Batch{After: after, To: after, Remote: true}
	err := c.db.each(ctx, `SELECT pos, kind, room, usr FROM changes WHERE pos > $1 AND pos <= $2 ORDER BY pos`,
		[]any{after, to}, func(r *sql.Rows) error {
			var l Live
			if err := r.Scan(&l.Pos, &l.Kind, &l.Room, &l.User); err != nil {
				return err
			}
			b.Lives, b.To = append(b.Lives, l), l.Pos
			return nil
		})
	if err != nil {
		return err
	}
	c.publish(b)
	return nil
}

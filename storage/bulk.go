package storage

import (
	"context"
	"time"
)

// Sizes of bulk pieces: as many rows as fit in bulkPiece, found by measuring.
const (
	bulkPiece      = 15 * time.Millisecond
	bulkFirstPiece = 256
	bulkMinPiece   = 32
	bulkMaxPiece   = 8192
)

// Bulk writes many rows that nothing refers to yet, in pieces of some milliseconds between which other Changes are
// committed: the state of a joined room, backfill, imports. The rows take no position. When it returns nil all rows
// are durable and a small Change may make them visible. When it fails some rows may be written; they stay unseen, so
// rows that are written again must be upserts or carry fresh numbers.
func (db *DB) Bulk(ctx context.Context, rows []Row) error {
	for len(rows) > 0 {
		n := min(len(rows), int(db.committer.pieceRows.Load()))
		piece := &Change{Rows: rows[:n]}
		if err := db.commitBulk(ctx, piece); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// commitBulk hands one piece to the committer when that has its turn for bulk work.
func (db *DB) commitBulk(ctx context.Context, piece *Change) error {
	q := db.committer.queue
	piece.done = make(chan error, 1)
	select {
	case q.bulk <- piece:
		return piece.Wait()
	case <-ctx.Done():
		return ctx.Err()
	case <-q.closed:
		return ErrClosed
	}
}

// bulkTurn says whether a bulk piece may be taken now, else when to ask again. After a piece during which other
// Changes came to wait, these have the committer for as long as the piece took: bulk work gets half of a busy one.
func (c *committer) bulkTurn() (from <-chan *Change, pause <-chan time.Time) {
	if c.bulkPause.IsZero() {
		return c.queue.bulk, nil
	}
	left := time.Until(c.bulkPause)
	if left <= 0 {
		c.bulkPause = time.Time{}
		return c.queue.bulk, nil
	}
	return nil, time.After(left)
}

func (c *committer) commitPiece(piece *Change) {
	began := time.Now()
	rows := len(piece.Rows)
	c.commit([]*Change{piece})
	took := time.Since(began)
	if len(c.queue.changes) > 0 {
		c.bulkPause = time.Now().Add(took)
	}
	if rows == 0 || rows < int(c.pieceRows.Load()) && took < bulkPiece {
		return // statements only, or the last piece of its rows: nothing to measure by
	}
	fit := int64(float64(rows) * float64(bulkPiece) / float64(max(took, time.Millisecond)))
	now := c.pieceRows.Load()
	c.pieceRows.Store(min(max(fit, now/2, bulkMinPiece), now*2, bulkMaxPiece))
}

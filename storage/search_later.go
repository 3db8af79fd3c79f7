package storage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// How much of what was said enters the index of words at a time, and how long it may wait for that.
const (
	indexPiece = 1000
	indexEvery = time.Second
)

// searchIndexer brings what is said live into SQLite's index of words, many messages at once.
// Why later: the index costs a tenth of an event when each commit touches it, and next to nothing when a thousand
// messages share one; no one searches within the second, and who does waits for it ([searchIndexer.catchUp]).
type searchIndexer struct {
	db   *DB
	upTo atomic.Int64 // the position up to which everything is in the index
	one  sync.Mutex   // one catches up at a time
	stop context.CancelFunc
	wait sync.WaitGroup
}

func newSearchIndexer(db *DB) *searchIndexer {
	ctx, stop := context.WithCancel(context.Background())
	x := &searchIndexer{db: db, stop: stop}
	x.wait.Go(func() { x.run(ctx) })
	return x
}

func (x *searchIndexer) close() {
	x.stop()
	x.wait.Wait()
}

func (x *searchIndexer) run(ctx context.Context) {
	tick := time.NewTicker(indexEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := x.catchUp(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
			x.db.log.Warn("index messages for search", "error", err)
		}
	}
}

// catchUp returns when all that was committed before the call can be found.
func (x *searchIndexer) catchUp(ctx context.Context) error {
	target := x.db.Position()
	if x.upTo.Load() >= target {
		return nil
	}
	x.one.Lock()
	defer x.one.Unlock()
	for x.upTo.Load() < target {
		var left, last int64
		err := x.db.row(ctx, `SELECT COUNT(*), COALESCE(MAX(id), 0) FROM
			(SELECT id FROM search_docs WHERE id > (SELECT live FROM search_indexed) AND id <= $1 ORDER BY id LIMIT $2)`,
			[]any{target, int64(indexPiece)}, &left, &last)
		if err != nil {
			return err
		}
		if left > 0 {
			if err := x.db.commitBulk(ctx, indexUpTo(last)); err != nil {
				return err
			}
		}
		if left < indexPiece {
			x.upTo.Store(target)
		}
	}
	return nil
}

// indexUpTo is the piece of work after which all messages up to an id are in the index.
func indexUpTo(id int64) *Change {
	return &Change{Guards: []Guard{
		{sql: `INSERT INTO search_words (rowid, words) SELECT id, words FROM search_docs
			WHERE id > (SELECT live FROM search_indexed) AND id <= $1`, args: []any{id}, want: anyRows},
		{sql: `UPDATE search_indexed SET live = MAX(live, $1)`, args: []any{id}, want: anyRows},
	}}
}

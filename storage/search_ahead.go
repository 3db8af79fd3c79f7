package storage

import (
	"context"
	"database/sql"
	"errors"

	"github.com/lib/pq"
)

// pagesAhead is how many pages of what an index found PostgreSQL asks the disk for at a time.
// Why set: up to version 17 it is one, and a search whose rows are not in memory waits for hundreds, one after the other.
const pagesAhead = "32"

// openWilling opens a pool whose sessions have settings, or, where the server does not know one of them, none.
func (db *DB) openWilling(ctx context.Context, conns int, settings ...string) *sql.DB {
	pool := db.openPostgres(conns, settings...)
	var refused *pq.Error
	if err := pool.PingContext(ctx); errors.As(err, &refused) {
		_ = pool.Close()
		return db.openPostgres(conns)
	}
	return pool // whoever reads first finds a connection, or what is wrong
}

package storage

import "context"

// Shrink gives back the pages that SQLite's writer keeps of the file; they are read again when they are needed. For
// calm hours: PostgreSQL keeps its pages itself, and readers are closed when nobody reads.
func (db *DB) Shrink(ctx context.Context) error {
	if db.dialect.arrays {
		return nil
	}
	return db.commitBulk(ctx, &Change{Guards: []Guard{{sql: `PRAGMA shrink_memory`, want: anyRows}}})
}

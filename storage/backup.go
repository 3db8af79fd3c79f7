package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrSnapshotPostgres says that PostgreSQL is copied by its own tools.
var ErrSnapshotPostgres = errors.New("a PostgreSQL database is copied with pg_dump")

// Snapshot writes a consistent copy of a SQLite database to a new file; the database may be in use meanwhile.
func Snapshot(ctx context.Context, url, file string) error {
	db := &DB{opts: Options{URL: url, Readers: 1}}
	if IsPostgres(url) {
		return ErrSnapshotPostgres
	}
	if err := db.connect(ctx); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	_, err := db.write.ExecContext(ctx, `VACUUM INTO $1`, file)
	if err = errors.Join(err, db.closePools()); err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	return nil
}

// BeginAnew prepares a database that was put back from a copy. Its one-time keys may have been handed out since the
// copy was made, so those not claimed are dropped, and clients upload new ones; a new epoch makes clients fetch full
// state instead of trusting positions that now mean something else. No server may run on the database.
func BeginAnew(ctx context.Context, url string) error {
	db := &DB{opts: Options{URL: url, Readers: 1}}
	if err := db.connect(ctx); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if err := errors.Join(db.beginAnew(ctx), db.closePools()); err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	return nil
}

func (db *DB) beginAnew(ctx context.Context) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if _, err := tx.ExecContext(ctx, `DELETE FROM one_time_keys WHERE claimed = 0`); err != nil {
		return err
	}
	// Why the clock: one copy put back twice must not give the same epoch twice.
	now := time.Now().Unix()
	if _, err := tx.ExecContext(ctx, `UPDATE stream SET epoch = CASE WHEN epoch < $1 THEN $1 ELSE epoch + 1 END WHERE id = 1`, now); err != nil {
		return err
	}
	return tx.Commit()
}

package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrSnapshotPostgres says that PostgreSQL is copied by its own tools.
var ErrSnapshotPostgres = errors.New("a PostgreSQL database is copied with pg_dump")

// Backup is [Snapshot] of the open database.
func (db *DB) Backup(ctx context.Context, file string) error { return Snapshot(ctx, db.opts.URL, file) }

// Snapshot writes a consistent copy of a SQLite database to a new file; the database may be in use meanwhile. When it
// returns nil the copy is complete and on disk; no file of that name stands for half a copy.
func Snapshot(ctx context.Context, url, file string) error {
	if IsPostgres(url) {
		return ErrSnapshotPostgres
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("copy database: %s: %w", file, os.ErrExist)
	}
	partial := file + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("copy database: %w", err)
	}
	err := copyInto(ctx, url, partial)
	if err == nil {
		err = os.Rename(partial, file)
	}
	if err == nil {
		err = syncFolder(file)
	}
	if err != nil {
		_ = os.Remove(partial)
		return fmt.Errorf("copy database: %w", err)
	}
	return nil
}

// copyInto fills a new file, readable by nobody else, and syncs it.
func copyInto(ctx context.Context, url, partial string) error {
	if err := createPrivate(partial); err != nil {
		return err
	}
	db := &DB{opts: Options{URL: url, Readers: 1}}
	if err := db.connect(ctx); err != nil {
		return err
	}
	_, err := db.write.ExecContext(ctx, `VACUUM INTO $1`, partial)
	if err = errors.Join(err, db.closePools()); err != nil {
		return err
	}
	f, err := os.OpenFile(partial, os.O_RDWR, 0) //nolint:gosec // the path is the operator's
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
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

package storage

import (
	"context"
	"database/sql"
	"errors"
	"path"
	"slices"
)

// standAlone are the schema files that need nothing of others, nor others of them. They are about half of all.
var standAlone = []string{
	"0004_devices.sql", "0005_reading.sql", "0010_people.sql", "0011_federation.sql", "0013_inbox.sql",
	"0014_outbox.sql", "0015_remotedevices.sql", "0016_retention.sql", "0017_dehydrated.sql", "0018_pushers.sql", "0019_sliding.sql",
	"0022_delayed.sql", "0023_threads.sql", "0024_sticky.sql", "0025_previews.sql", "0030_ledger.sql", "0031_calls.sql",
	"0034_roomlists.sql", "0060_closure.sql", "0061_waves.sql", "0065_state_resets.sql", "0070_stickywaiting.sql",
	"0075_missions.sql", "0080_announcedstreams.sql", "0090_inboxunchecked.sql",
}

// filledAlone is the row of schema_version that says that the files which stand alone are applied, and by which version. It is there
// between the two commits of [DB.fill].
const filledAlone = 2

// ErrHalfFilled says that another version was stopped in the middle of its first start.
var ErrHalfFilled = errors.New("another version of Rempart was stopped while it made the tables here; nothing is in them: make the database anew")

// fill makes the tables of an empty PostgreSQL database, in two sessions at once. It reports false, and does nothing, when the database is not empty.
//
// Why: PostgreSQL waits for the disk once for each of 250 indexes; two sessions wait together, which takes three quarters of the time.
// A start that is stopped between the two commits is gone on with by the next.
func (db *DB) fill(ctx context.Context) (done bool, err error) {
	files, err := listSchema()
	if err != nil {
		return false, err
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }() // gives it back to the pool

	// Why the session's lock, not a transaction's: there are two transactions.
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, schemaLock); err != nil {
		return false, err
	}
	defer func() {
		_, unlocked := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, schemaLock)
		err = errors.Join(err, unlocked)
	}()
	half, err := db.begun(ctx, conn, len(files))
	if errors.Is(err, errFilled) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, db.fillBoth(ctx, conn, files, half)
}

// errFilled says that a database has its tables.
var errFilled = errors.New("the database has its tables")

// begun has an empty database hold its version, and reports whether the files that stand alone are applied already.
func (db *DB) begun(ctx context.Context, conn *sql.Conn, version int) (half bool, err error) {
	var there bool
	if err := conn.QueryRowContext(ctx, `SELECT to_regclass('schema_version') IS NOT NULL`).Scan(&there); err != nil {
		return false, err
	}
	if there {
		switch _, err := schemaVersion(ctx, conn); {
		case err == nil:
			return false, errFilled
		case !errors.Is(err, sql.ErrNoRows):
			return false, err
		}
	}
	if err := db.mayFill(); err != nil {
		return false, err
	}
	if _, err := conn.ExecContext(ctx, makeVersion); err != nil {
		return false, err
	}
	var by int
	switch err := conn.QueryRowContext(ctx, `SELECT version FROM schema_version WHERE id = $1`, filledAlone).Scan(&by); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err == nil && by != version:
		return false, ErrHalfFilled
	default:
		return true, err
	}
}

// fillBoth applies the files that stand alone, unless that is done, and the others beside them.
func (db *DB) fillBoth(ctx context.Context, conn *sql.Conn, files []string, half bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	alone := make(chan error, 1)
	if half {
		alone <- nil
	} else {
		go func() { alone <- db.fillAlone(ctx, files) }()
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err == nil {
		defer func() { _ = tx.Rollback() }() // does nothing after a commit
		err = db.fillOthers(ctx, tx, files)
	}
	if err != nil {
		cancel()
	}
	if err = errors.Join(err, <-alone); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM schema_version WHERE id = $1`, filledAlone); err != nil {
		return err
	}
	if err := setSchemaVersion(ctx, tx, len(files)); err != nil {
		return err
	}
	return tx.Commit()
}

// fillOthers applies the files that do not stand alone.
// Why no limit on how long the session may be idle: it waits for the other one.
func (db *DB) fillOthers(ctx context.Context, tx *sql.Tx, files []string) error {
	if _, err := tx.ExecContext(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil {
		return err
	}
	return db.applyAll(ctx, tx, files, false)
}

// fillAlone applies the files that stand alone, in a session of its own, and leaves the mark of that.
func (db *DB) fillAlone(ctx context.Context, files []string) error {
	tx, err := db.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := db.applyAll(ctx, tx, files, true); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO schema_version (id, version) VALUES ($1, $2)`, filledAlone, len(files)); err != nil {
		return err
	}
	return tx.Commit()
}

// applyAll applies all files that stand alone, or all that do not.
func (db *DB) applyAll(ctx context.Context, tx *sql.Tx, files []string, alone bool) error {
	for _, file := range files {
		if slices.Contains(standAlone, path.Base(file)) != alone {
			continue
		}
		if err := db.apply(ctx, tx, file); err != nil {
			return err
		}
	}
	return nil
}

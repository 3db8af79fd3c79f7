package storage

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
)

// connectSQLite opens the file with one writing connection and a pool of readers that cannot write.
// Why synchronous=FULL: what was acknowledged must survive a power cut; with group commit it costs next to nothing.
func (db *DB) connectSQLite(ctx context.Context) error {
	db.dialect = &sqliteDialect
	if err := createPrivate(db.opts.URL); err != nil {
		return err
	}
	common := []string{"busy_timeout(10000)", "foreign_keys(0)", "temp_store(2)"}
	writer := append([]string{"journal_mode(WAL)", "synchronous(FULL)", "cache_size(-16384)",
		"journal_size_limit(67108864)", "wal_autocheckpoint(2000)"}, common...)
	reader := append([]string{"query_only(1)", "cache_size(-2048)"}, common...)
	var err error
	if db.write, err = db.openSQLite(writer, 1); err != nil {
		return err
	}
	if err := db.write.PingContext(ctx); err != nil { // sets WAL before readers open the file
		_ = db.write.Close()
		return err
	}
	if err := syncFolder(db.opts.URL); err != nil {
		_ = db.write.Close()
		return err
	}
	if db.read, err = db.openSQLite(reader, db.opts.Readers); err != nil {
		_ = db.write.Close()
		return err
	}
	if db.follow, err = db.openSQLite(append([]string{"query_only(1)", "cache_size(-64)"}, common...), 1); err != nil {
		_ = errors.Join(db.read.Close(), db.write.Close())
	}
	return err
}

// createPrivate makes the file and its folder, readable by nobody else, unless they are there.
func createPrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the path is the operator's
	if err != nil {
		return err
	}
	return f.Close()
}

// syncFolder makes the folder's entries durable. Why: the change to WAL, the one transaction with a rollback journal,
// removes that journal without syncing the folder; were it found again after a power cut, it would undo everything.
func syncFolder(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (db *DB) openSQLite(pragmas []string, conns int) (*sql.DB, error) {
	q := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	if db.opts.vfs != "" {
		q.Set("vfs", db.opts.vfs)
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: db.opts.URL}).EscapedPath(), RawQuery: q.Encode()}
	connector, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(db.wrapped(connector))
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	if conns > 1 { // the writer stays; readers give their page caches back when nobody reads
		pool.SetConnMaxIdleTime(readerIdle)
	}
	return pool, nil
}

// readerIdle is how long a reader is kept without work. To open one anew takes a millisecond.
const readerIdle = 5 * time.Second

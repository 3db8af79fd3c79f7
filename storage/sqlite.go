package storage

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
)

// connectSQLite opens the file with one writing connection and a pool of readers that cannot write.
// Why synchronous=FULL: what was acknowledged must survive a power cut; with group commit it costs next to nothing.
func (db *DB) connectSQLite(ctx context.Context) error {
	db.dialect = &sqliteDialect
	path := db.opts.URL
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	common := []string{"busy_timeout(10000)", "foreign_keys(0)", "temp_store(2)"}
	writer := append([]string{"journal_mode(WAL)", "synchronous(FULL)", "cache_size(-65536)",
		"journal_size_limit(67108864)", "wal_autocheckpoint(2000)"}, common...)
	reader := append([]string{"query_only(1)", "cache_size(-4096)", "mmap_size(268435456)"}, common...)
	var err error
	if db.write, err = openSQLite(path, writer, 1); err != nil {
		return err
	}
	if err := db.write.PingContext(ctx); err != nil { // creates the file before readers open it
		_ = db.write.Close()
		return err
	}
	if db.read, err = openSQLite(path, reader, db.opts.Readers); err != nil {
		_ = db.write.Close()
	}
	return err
}

func openSQLite(path string, pragmas []string, conns int) (*sql.DB, error) {
	q := url.Values{"_pragma": pragmas}
	pool, err := sql.Open("sqlite", "file:"+path+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return pool, nil
}

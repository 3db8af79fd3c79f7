package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/lib/pq"
)

// connectPostgres opens the pools and refuses a server that could lose what it acknowledged.
func (db *DB) connectPostgres(ctx context.Context) error {
	db.dialect = &postgresDialect
	var err error
	if db.dsn, err = postgresSession(db.opts.URL); err != nil {
		return err
	}
	if _, err := pq.NewConnector(db.dsn); err != nil {
		return err
	}
	db.write = db.openPostgres(1)
	db.follow = db.openPostgres(1)
	var reader sync.WaitGroup
	reader.Go(func() { db.read = db.openWilling(ctx, db.opts.Readers, "effective_io_concurrency", pagesAhead) }) // what is wrong is found below
	err = db.checkPostgres(ctx)
	reader.Wait()
	if err != nil {
		return errors.Join(err, db.closePools())
	}
	return nil
}

// openPostgres opens a pool, whose sessions have further settings beside those of every session.
func (db *DB) openPostgres(conns int, settings ...string) *sql.DB {
	cfg, err := pq.NewConfig(db.dsn)
	if err != nil {
		panic("storage: the URL was checked before: " + err.Error())
	}
	for i := 0; i+1 < len(settings); i += 2 {
		cfg.Runtime[settings[i]] = settings[i+1]
	}
	connector, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		panic("storage: the URL was checked before: " + err.Error())
	}
	if db.opts.Dial != nil {
		connector.Dialer(dialer(db.opts.Dial))
	}
	pool := sql.OpenDB(db.wrapped(connector))
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return pool
}

// postgresSession adds the session settings: those that let the server notice a hung node within seconds, and the
// binary form of parameters, which spares writing bytes as text.
func postgresSession(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("database url: %w", err)
	}
	q := u.Query()
	for k, v := range map[string]string{
		"statement_timeout":                   "30000",
		"idle_in_transaction_session_timeout": "4000",
		"default_transaction_isolation":       "read committed",
		"tcp_user_timeout":                    "5000",
		"tcp_keepalives_idle":                 "5",
		"tcp_keepalives_interval":             "2",
		"tcp_keepalives_count":                "2",
		"application_name":                    "rempart",
		"connect_timeout":                     "5",
	} {
		if !q.Has(k) {
			q.Set(k, v)
		}
	}
	q.Set("binary_parameters", "yes")
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// ErrUnsafe says that a PostgreSQL could lose what it acknowledged, or sorts text in another way than SQLite.
var ErrUnsafe = errors.New("this PostgreSQL is not safe to use")

// checkPostgres gives all reasons at once why this database must not be used.
func (db *DB) checkPostgres(ctx context.Context) error {
	var wrong []string
	var version int
	var fsync, full, sync, collate string
	err := db.write.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'),
		current_setting('full_page_writes'), current_setting('synchronous_commit'),
		(SELECT datcollate FROM pg_database WHERE datname = current_database())`).Scan(&version, &fsync, &full, &sync, &collate)
	if err != nil {
		return err
	}
	if version < 150000 {
		wrong = append(wrong, "PostgreSQL 15 or newer is needed")
	}
	if fsync != "on" {
		wrong = append(wrong, "fsync must be on")
	}
	if full != "on" {
		wrong = append(wrong, "full_page_writes must be on")
	}
	if sync == "off" {
		wrong = append(wrong, "synchronous_commit must not be off")
	}
	if collate != "C" && collate != "POSIX" && collate != "C.UTF-8" {
		wrong = append(wrong, "the database must be created with collation C (CREATE DATABASE … TEMPLATE template0 LC_COLLATE 'C')")
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s", ErrUnsafe, strings.Join(wrong, "; "))
	}
	return nil
}

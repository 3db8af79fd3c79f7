package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Options say which database to open and who hears of commits.
type Options struct {
	// URL is "postgres://…" or the path of a SQLite file.
	URL string
	// Publish is called with every batch in stream order, before the writers are answered. It must not block on
	// the database. Nil: nobody listens.
	Publish func(Batch)
	// Signal is called with ephemeral messages that another node sent ([DB.Broadcast]).
	Signal func(payload []byte)
	// Readers bounds the connections of the read pool; default 8.
	Readers int
	// Queue bounds the Changes that may wait for the committer; default 4096.
	Queue int
	Log   *slog.Logger
}

// DB is an open database. All its methods may be called concurrently.
type DB struct {
	opts    Options
	dialect *dialect
	read    *sql.DB // readers; SQLite: query_only
	write   *sql.DB // one connection, owned by the committer
	log     *slog.Logger
	node    int64

	committer *committer
	stmts     sync.Map // SQL text → *sql.Stmt on the read pool
	ids       idBlocks
	names     *internCache
}

// Open connects, migrates the schema forward and starts the committer.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Readers == 0 {
		o.Readers = 8
	}
	if o.Queue == 0 {
		o.Queue = 4096
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	db := &DB{opts: o, log: o.Log, node: newNode(), names: newInternCache()}
	if err := db.connect(ctx); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := db.migrate(ctx); err != nil {
		db.closePools()
		return nil, fmt.Errorf("migrate database: %w", err)
	}
	c, err := newCommitter(ctx, db)
	if err != nil {
		db.closePools()
		return nil, fmt.Errorf("start committer: %w", err)
	}
	db.committer = c
	return db, nil
}

// IsPostgres reports whether the URL names a PostgreSQL database.
func IsPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

func (db *DB) connect(ctx context.Context) error {
	if IsPostgres(db.opts.URL) {
		return db.connectPostgres(ctx)
	}
	return db.connectSQLite(ctx)
}

// Close writes what still waits and closes the database.
func (db *DB) Close() error {
	db.committer.close()
	return db.closePools()
}

func (db *DB) closePools() error {
	err := db.write.Close()
	if e := db.read.Close(); err == nil {
		err = e
	}
	return err
}

// Engine is "sqlite" or "postgres".
func (db *DB) Engine() string { return db.dialect.name }

// Position is the last committed position that was published in this process.
func (db *DB) Position() int64 { return db.committer.published.Load() }

// Epoch is the number of the stream's current life; restoring a backup starts a new one.
func (db *DB) Epoch() int64 { return db.committer.epoch }

// Exact reports whether err says that a uniqueness rule was broken.
func (db *DB) isUnique(err error) bool { return err != nil && db.dialect.unique(err) }

// query runs a read with a statement that stays prepared.
func (db *DB) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	st, err := db.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// row reads a single row into dest; ErrNotFound when there is none.
func (db *DB) row(ctx context.Context, text string, args []any, dest ...any) error {
	st, err := db.prepared(ctx, text)
	if err != nil {
		return err
	}
	err = st.QueryRowContext(ctx, args...).Scan(dest...)
	if err == sql.ErrNoRows {
		return ErrNotFound
	}
	return err
}

// each runs a read and calls fn for every row.
func (db *DB) each(ctx context.Context, text string, args []any, fn func(*sql.Rows) error) error {
	rows, err := db.query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (db *DB) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if st, ok := db.stmts.Load(text); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := db.read.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %.60q: %w", text, err)
	}
	if old, loaded := db.stmts.LoadOrStore(text, st); loaded {
		_ = st.Close()
		return old.(*sql.Stmt), nil
	}
	return st, nil
}

// nowMS is the time as the schema stores it.
func nowMS() int64 { return time.Now().UnixMilli() }

func newNode() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:]) >> 2)
}

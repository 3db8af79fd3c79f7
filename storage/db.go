package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// Options say which database to open and who hears of commits.
type Options struct {
	// URL is "postgres://…" or the path of a SQLite file.
	URL string
	// Publish is called with every batch in stream order, one at a time, before the writers are answered: commits
	// wait for it, so it must never wait for a commit. Nil: nobody listens.
	Publish func(Batch)
	// Signal is called with ephemeral messages that another node sent ([DB.Broadcast]).
	Signal func(payload []byte)
	// Readers bounds the connections of the read pool; default 8.
	Readers int
	// Queue bounds the Changes that may wait for the committer; default 4096.
	Queue int
	Log   *slog.Logger
	// Fresh is asked before an empty database is filled; an error leaves it empty and is what Open gives. Nil: it may be filled.
	Fresh func() error
	// Dial opens connections to PostgreSQL: "tcp" to "host:port", or "unix" to a path. Nil takes the driver's own.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// wrap stands between the pools and the driver in tests.
	wrap func(driver.Connector) driver.Connector
	// vfs names the file layer of SQLite in tests.
	vfs string
}

// DB is an open database. All its methods may be called concurrently.
type DB struct {
	opts    Options
	dialect *dialect
	read    *sql.DB // readers; SQLite: query_only
	follow  *sql.DB // the follower's; not read, since all readers may be busy
	dsn     string  // PostgreSQL: the URL with the session's settings
	write   *sql.DB // one connection, owned by the committer
	log     *slog.Logger
	node    int64 // names this process among those that write to the database

	committer *committer
	follower  *follower
	indexer   *searchIndexer // nil on PostgreSQL, which indexes as it commits
	stmts     sync.Map       // SQL text → *sql.Stmt on the read pool
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
		return nil, fmt.Errorf("open database: %w", plainly(err))
	}
	if err := db.migrate(ctx); err != nil {
		_ = db.closePools()
		return nil, fmt.Errorf("migrate database: %w", plainly(err))
	}
	c, err := newCommitter(ctx, db)
	if err != nil {
		_ = db.closePools()
		return nil, fmt.Errorf("start committer: %w", plainly(err))
	}
	db.committer = c
	db.follower = newFollower(db)
	if !db.dialect.arrays {
		db.indexer = newSearchIndexer(db)
	}
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
	if db.indexer != nil {
		db.indexer.close()
	}
	db.follower.close()
	db.committer.close()
	return db.closePools()
}

func (db *DB) closePools() error {
	err := errors.Join(db.write.Close(), db.read.Close(), db.follow.Close())
	if IsPostgres(db.opts.URL) {
		return nil // Why: only the good-bye to a server that is gone can fail, and nothing hangs on that
	}
	return err
}

func (db *DB) wrapped(c driver.Connector) driver.Connector {
	if db.opts.wrap == nil {
		return c
	}
	return db.opts.wrap(c)
}

// Engine is "sqlite" or "postgres".
func (db *DB) Engine() string { return db.dialect.name }

// Node names this process among those that write to the database.
func (db *DB) Node() int64 { return db.node }

// Position is the last committed position that was published in this process.
func (db *DB) Position() int64 { return db.committer.published.Load() }

// Epoch is the number of the stream's current life; restoring a backup starts a new one.
func (db *DB) Epoch() int64 { return db.committer.epoch }

// Lost is closed when this process can no longer follow the database ([ErrRestored]): it has to end, and be started anew.
func (db *DB) Lost() <-chan struct{} { return db.committer.abandoned }

// isUnique reports whether err says that a uniqueness rule was broken.
func (db *DB) isUnique(err error) bool { return err != nil && db.dialect.unique(err) }

// nowMS is the time as the schema stores it.
func nowMS() int64 { return time.Now().UnixMilli() }

func newNode() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:]) >> 2)
}

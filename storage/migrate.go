package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// ErrNewerSchema says that the database was written by a newer Rempart.
var ErrNewerSchema = errors.New("the database was written by a newer version of Rempart; start that version, or restore a backup")

const (
	makeVersion = `CREATE TABLE IF NOT EXISTS schema_version (id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL)`
	// schemaLock is the number of the lock that a node has while it changes tables.
	schemaLock = 7020735162
)

// migrate applies the schema files that the database has not seen, in order, all in one transaction; those of an empty PostgreSQL
// database in two ([DB.fill]).
func (db *DB) migrate(ctx context.Context) error {
	if db.current(ctx) {
		return nil
	}
	if db.dialect.arrays {
		if done, err := db.fill(ctx); done || err != nil {
			return err
		}
	}
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := db.bringUp(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// current reports whether the database has seen all files, as at each start but the first: in one round trip and without
// a lock. What cannot be read is looked at again, and said, by [DB.bringUp].
func (db *DB) current(ctx context.Context) bool {
	files, err := listSchema()
	if err != nil {
		return false
	}
	have, err := schemaVersion(ctx, db.write)
	return err == nil && have == len(files)
}

// listSchema lists the schema's files in their order; how many there are is this version's number.
func listSchema() ([]string, error) { return fs.Glob(schemaFiles, "schema/*.sql") }

// schemaVersion is how many of the files a database has seen.
func schemaVersion(ctx context.Context, on interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (have int, err error) {
	err = on.QueryRowContext(ctx, `SELECT version FROM schema_version WHERE id = 1`).Scan(&have)
	return have, err
}

// bringUp is [DB.migrate] in a transaction of the caller's.
func (db *DB) bringUp(ctx context.Context, tx *sql.Tx) error {
	files, err := listSchema()
	if err != nil {
		return err
	}
	if db.dialect.arrays { // two nodes may start at once
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, schemaLock); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, makeVersion); err != nil {
		return err
	}
	have, err := schemaVersion(ctx, tx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err := db.mayFill(); err != nil {
			return err
		}
	case err != nil:
		return err
	case have > len(files):
		return ErrNewerSchema
	}
	for i := have; i < len(files); i++ {
		if err := db.apply(ctx, tx, files[i]); err != nil {
			return err
		}
	}
	if have == len(files) {
		return nil
	}
	return setSchemaVersion(ctx, tx, len(files))
}

// mayFill asks whether an empty database may be filled.
func (db *DB) mayFill() error {
	if db.opts.Fresh == nil {
		return nil
	}
	return db.opts.Fresh()
}

func setSchemaVersion(ctx context.Context, tx *sql.Tx, version int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO schema_version (id, version) VALUES (1, $1)
		ON CONFLICT (id) DO UPDATE SET version = excluded.version`, version)
	return err
}

// apply runs one schema file. One whose name ends in an engine's is for that engine alone.
func (db *DB) apply(ctx context.Context, tx *sql.Tx, file string) error {
	for _, engine := range []string{sqliteDialect.name, postgresDialect.name} {
		if strings.HasSuffix(file, "_"+engine+".sql") && engine != db.dialect.name {
			return nil
		}
	}
	text, err := schemaFiles.ReadFile(file)
	if err != nil {
		return err
	}
	parts := []string{db.dialect.expand(string(text))}
	if !db.dialect.arrays { // PostgreSQL takes a whole file in one round trip
		parts = statements(parts[0])
	}
	for _, stmt := range parts {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// statements splits a schema file at semicolons that end a line; comments stay with their statement.
func statements(text string) []string {
	var out []string
	for s := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(s) != "" {
			out = append(out, s)
		}
	}
	return out
}

package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// ErrNotEmpty says that a database to be filled holds tables already.
var ErrNotEmpty = errors.New("it holds tables already, and nothing may be there: name a database that was just made")

// ErrOlderSchema says that a database has not yet been brought to the form of this version.
var ErrOlderSchema = errors.New("the database was written by an older version of Rempart: start this version on it once, stop it, and try again")

// Moved says how much was moved.
type Moved struct{ Tables, Rows int64 }

// Move copies a SQLite database, which it leaves as it is, into an empty PostgreSQL database, and compares afterwards what
// is there, table by table. Everything happens in one transaction: after an error the other database is as empty as before.
// No server may run on either. tell hears of each table with its rows when it has been compared.
func Move(ctx context.Context, file string, to Options, tell func(table string, rows int64)) (Moved, error) {
	if !IsPostgres(to.URL) {
		return Moved{}, errors.New("a database is moved to PostgreSQL: name a URL such as postgres://user@host/name")
	}
	if _, err := os.Stat(file); err != nil {
		return Moved{}, fmt.Errorf("there is no database to move: %w", err)
	}
	m := &mover{tell: tell, into: &DB{opts: to}}
	if err := m.open(ctx, file); err != nil {
		return Moved{}, err
	}
	done, err := m.move(ctx)
	return done, errors.Join(err, m.close())
}

// mover is a move under way.
type mover struct {
	from *sql.Conn // reads one moment of the SQLite database
	pool *sql.DB
	into *DB
	tx   *sql.Tx // fills the other
	tell func(table string, rows int64)
}

func (m *mover) open(ctx context.Context, file string) (err error) {
	source := &DB{opts: Options{URL: file}, dialect: &sqliteDialect}
	if m.pool, err = source.openSQLite([]string{"query_only(1)", "cache_size(-16384)", "busy_timeout(10000)"}, 1); err != nil {
		return err
	}
	if m.from, err = m.pool.Conn(ctx); err == nil {
		_, err = m.from.ExecContext(ctx, `BEGIN`)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open database: %w", plainly(err)), m.pool.Close())
	}
	if err := m.into.connect(ctx); err != nil {
		return errors.Join(fmt.Errorf("open the other database: %w", err), m.from.Close(), m.pool.Close())
	}
	return nil
}

func (m *mover) close() error {
	return errors.Join(m.from.Close(), m.pool.Close(), m.into.closePools())
}

func (m *mover) move(ctx context.Context) (done Moved, err error) {
	if err := m.upToDate(ctx); err != nil {
		return done, err
	}
	if m.tx, err = m.into.write.BeginTx(ctx, nil); err != nil {
		return done, err
	}
	defer func() { _ = m.tx.Rollback() }() // does nothing after a commit
	if err := m.prepare(ctx); err != nil {
		return done, fmt.Errorf("the other database: %w", err)
	}
	tables, err := m.plan(ctx)
	if err != nil {
		return done, err
	}
	for _, t := range tables {
		rows, err := m.carry(ctx, t)
		if err != nil {
			return done, fmt.Errorf("move %s: %w", t.name, err)
		}
		done.Tables, done.Rows = done.Tables+1, done.Rows+rows
		m.tell(t.name, rows)
	}
	if err := m.tx.Commit(); err != nil {
		return Moved{}, err
	}
	return done, m.settle(ctx, tables)
}

// upToDate refuses a database whose tables are not those of this version.
func (m *mover) upToDate(ctx context.Context) error {
	files, err := listSchema()
	if err != nil {
		return err
	}
	switch have, err := schemaVersion(ctx, m.from); {
	case err != nil:
		return fmt.Errorf("this is no database of Rempart: %w", plainly(err))
	case have > len(files):
		return ErrNewerSchema
	case have < len(files):
		return ErrOlderSchema
	}
	return nil
}

// prepare makes the tables where nothing is yet.
func (m *mover) prepare(ctx context.Context) error {
	// Why no limits: they are for a server, whose statements are short.
	for _, setting := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		if _, err := m.tx.ExecContext(ctx, `SET LOCAL `+setting+` = 0`); err != nil {
			return err
		}
	}
	if err := nothingIn(ctx, m.tx); err != nil {
		return err
	}
	return m.into.bringUp(ctx, m.tx)
}

// CheckEmpty gives [ErrNotEmpty] when the PostgreSQL database at url holds something already.
func CheckEmpty(ctx context.Context, url string) error {
	db := &DB{opts: Options{URL: url, Readers: 1}}
	if err := db.connect(ctx); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	tx, err := db.write.BeginTx(ctx, nil)
	if err == nil {
		err = errors.Join(nothingIn(ctx, tx), tx.Rollback())
	}
	return errors.Join(err, db.closePools())
}

// nothingIn gives [ErrNotEmpty] when there is a table, or anything like one, in the PostgreSQL database.
func nothingIn(ctx context.Context, tx *sql.Tx) error {
	var there int64
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace`).Scan(&there); err != nil {
		return err
	}
	if there > 0 {
		return ErrNotEmpty
	}
	return nil
}

// settle has PostgreSQL look at what is there, as it would do by itself some time later.
func (m *mover) settle(ctx context.Context, tables []movedTable) error {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = quoteName(t.name)
	}
	if _, err := m.into.write.ExecContext(ctx, `SET statement_timeout = 0`); err != nil {
		return err
	}
	_, err := m.into.write.ExecContext(ctx, `VACUUM (ANALYZE) `+strings.Join(names, ", "))
	return err
}

// movedTable is a table of both databases with its columns, all but those that PostgreSQL computes.
type movedTable struct {
	name    string
	columns []string
}

// plan lists all tables as the databases themselves know them, in the order of their names. It refuses to begin when one has
// a table or a column that the other does not know.
func (m *mover) plan(ctx context.Context) ([]movedTable, error) {
	// Spec: sqlite.org/pragma.html#pragma_table_list: what belongs to a full-text index is "virtual" or "shadow".
	here, err := tablesBy(m.from.QueryContext(ctx, `SELECT t.name, c.name FROM pragma_table_list t, pragma_table_info(t.name) c
		WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY t.name, c.name`))
	if err != nil {
		return nil, err
	}
	here = slices.DeleteFunc(here, func(t movedTable) bool { return slices.Contains(sqliteAlone(), t.name) })
	there, err := tablesBy(m.tx.QueryContext(ctx, `SELECT table_name::text, column_name::text FROM information_schema.columns
		WHERE table_schema = current_schema() AND is_generated = 'NEVER' ORDER BY 1, 2`))
	if err != nil {
		return nil, err
	}
	if i := firstDifference(here, there); i >= 0 {
		return nil, fmt.Errorf("the tables of the two databases differ at %s: that is a mistake of Rempart, please report it", slices.Concat(here[i:], there[i:])[0].name)
	}
	return there, nil
}

// sqliteAlone are the tables that only SQLite has: how far its index of words has come. PostgreSQL indexes as it is filled.
func sqliteAlone() []string { return []string{"search_indexed"} }

// tablesBy reads (table, column) rows in order.
func tablesBy(rows *sql.Rows, err error) ([]movedTable, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var tables []movedTable
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		if n := len(tables); n == 0 || tables[n-1].name != table {
			tables = append(tables, movedTable{name: table})
		}
		last := &tables[len(tables)-1]
		last.columns = append(last.columns, column)
	}
	return tables, rows.Err()
}

// firstDifference is the place of the first table that is not the same in both, -1 when there is none.
func firstDifference(a, b []movedTable) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i].name != b[i].name || !slices.Equal(a[i].columns, b[i].columns) {
			return i
		}
	}
	return -1
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

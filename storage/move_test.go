package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rempart/internal/testkit/pgtest"
)

// everyTable opens a new SQLite database and gives it rows of all shapes in every table that the schema has.
func everyTable(t *testing.T, file string) (tables map[string]string) {
	t.Helper()
	made, err := Open(t.Context(), Options{URL: file})
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	db := bare(t, file)
	rows, err := db.read.QueryContext(t.Context(), `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'search!_words%' ESCAPE '!'
		AND name NOT LIKE 'people!_words%' ESCAPE '!'`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	tables = map[string]string{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables[name] = ""
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil { //nolint:sqlclosecheck // before the next question
		t.Fatal(err)
	}
	delete(tables, "search_indexed") // how far SQLite's own index of words has come
	for name := range tables {
		tables[name] = fillTable(t, db.write, name)
	}
	return tables
}

// fillTable adds three rows to a table and gives the list of its columns.
func fillTable(t *testing.T, db *sql.DB, table string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT name, type, "notnull", pk FROM pragma_table_info($1)`, table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var names, marks []string
	var values [3][]any
	for rows.Next() {
		var name, kind string
		var notNull bool
		var key int
		if err := rows.Scan(&name, &kind, &notNull, &key); err != nil {
			t.Fatal(err)
		}
		names, marks = append(names, name), append(marks, "?")
		for i := range int64(len(values)) {
			odd := fmt.Sprintf("é'\"\\N\\.☃\t%d", i)
			v := map[string]any{"INTEGER": 7 + i, "BIGINT": math.MinInt64/2 + i, "TEXT": odd, "BLOB": []byte{0, 0xff, '\\', '\n', byte(i)}}[kind]
			if i == 2 && !notNull && key == 0 {
				v = nil
			}
			if v == nil && i != 2 {
				t.Fatalf("%s.%s is of the kind %s, which nothing moves", table, name, kind)
			}
			values[i] = append(values[i], v)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil { //nolint:sqlclosecheck // before the next question
		t.Fatal(err)
	}
	for _, v := range values {
		if _, err := db.ExecContext(t.Context(), `INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(marks, ", ")+`)`, v...); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	return strings.Join(names, ", ")
}

// rowsOf reads a table as sorted text.
func rowsOf(t *testing.T, db *sql.DB, table, columns string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT `+columns+` FROM `+table)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	if err := eachRow(rows, strings.Count(columns, ",")+1, func(row []any) error {
		out = append(out, fmt.Sprintf("%q", row)) // Why not %#v: no bytes are nil here and empty there
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// Whatever table the schema has, now or later, its rows arrive as they were; and what was moved stays as it was.
func TestMoveTakesEveryTable(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("needs PostgreSQL")
	}
	file, target := filepath.Join(t.TempDir(), "rempart.db"), pgtest.New(t)
	tables := everyTable(t, file)
	told := map[string]int64{}
	done, err := Move(t.Context(), file, Options{URL: target}, func(table string, rows int64) { told[table] = rows })
	if err != nil {
		t.Fatal(err)
	}
	if int(done.Tables) != len(tables) || len(told) != len(tables) {
		t.Errorf("%d tables were moved and %d told, of %d", done.Tables, len(told), len(tables))
	}
	from, to := bare(t, file), bare(t, target)
	for name, columns := range tables {
		a, b := rowsOf(t, from.read, name, columns), rowsOf(t, to.read, name, columns)
		if len(a) < 3 || !slices.Equal(a, b) || told[name] != int64(len(a)) {
			t.Errorf("%s: %d rows told of\n%s\n%s", name, told[name], strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
	}
}

// bare opens a database and nothing that works on it.
func bare(t *testing.T, url string) *DB {
	t.Helper()
	db := &DB{opts: Options{URL: url, Readers: 1}}
	if err := db.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.closePools() })
	return db
}

// A move that cannot be finished leaves the other database as empty as it was, so that the next one finds it so.
func TestMoveIsWholeOrNothing(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("needs PostgreSQL")
	}
	file, target := filepath.Join(t.TempDir(), "rempart.db"), pgtest.New(t)
	everyTable(t, file)
	db := bare(t, file)
	change := func(text string) {
		t.Helper()
		if _, err := db.write.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	move := func(ctx context.Context) error {
		_, err := Move(ctx, file, Options{URL: target}, func(string, int64) {})
		return err
	}
	change(`INSERT INTO tenants (nid, name) VALUES (70, CAST(x'ff' AS TEXT))`) // PostgreSQL takes no such text
	if err := move(t.Context()); err == nil || !strings.Contains(err.Error(), "tenants") {
		t.Fatalf("text that is none: %v", err)
	}
	change(`DELETE FROM tenants WHERE nid = 70`)
	change(`UPDATE schema_version SET version = version - 1 WHERE id = 1`)
	if err := move(t.Context()); !errors.Is(err, ErrOlderSchema) {
		t.Errorf("an older database: %v", err)
	}
	change(`UPDATE schema_version SET version = version + 1 WHERE id = 1`)
	change(`CREATE TABLE yet_unknown (id BIGINT)`)
	if err := move(t.Context()); err == nil || !strings.Contains(err.Error(), "yet_unknown") {
		t.Errorf("a table that PostgreSQL has not: %v", err)
	}
	change(`DROP TABLE yet_unknown`)
	if err := move(t.Context()); err != nil {
		t.Fatalf("after three that failed: %v", err)
	}
	if err := move(t.Context()); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("over a database: %v", err)
	}
}

// A row that is lost or another on its way is noticed.
func TestRowsDigest(t *testing.T) {
	of := func(rows ...[]any) (d rowsDigest) {
		for _, r := range rows {
			if err := d.add(r); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	a, b := []any{int64(1), "x", []byte("y")}, []any{int64(2), nil, []byte{}}
	if of(a, b) != of(b, a) {
		t.Error("the order counts")
	}
	for name, other := range map[string]rowsDigest{
		"one less": of(a), "one twice": of(a, a), "text for bytes": of(a, []any{int64(2), nil, ""}), "nothing for emptiness": of(a, []any{int64(2), nil, nil}),
		"moved between columns": of([]any{int64(1), "xy", []byte("")}, b),
	} {
		if other == of(a, b) {
			t.Error(name)
		}
	}
}

package storage

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The tables that two sessions make are those that one makes, file after file.
func TestTwoSessionsMakeTheSameTables(t *testing.T) {
	want := inOneSession(t)
	url := postgresOnly(t)
	begin(t, url)
	if got := tablesOf(t, url); !slices.Equal(got, want) {
		t.Errorf("two sessions made\n%s\none makes\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A first start that was stopped after one session's commit is gone on with, by the same version alone.
func TestAFirstStartThatWasStoppedIsGoneOnWith(t *testing.T) {
	files, err := listSchema()
	if err != nil {
		t.Fatal(err)
	}
	url := postgresOnly(t)
	stopped := func(version string) {
		db := connected(t, url)
		if _, err := db.write.ExecContext(t.Context(), makeVersion); err != nil {
			t.Fatal(err)
		}
		if version == "" {
			if err := db.fillAlone(t.Context(), files); err != nil {
				t.Fatal(err)
			}
		} else if _, err := db.write.ExecContext(t.Context(), `UPDATE schema_version SET version = `+version+` WHERE id = $1`, filledAlone); err != nil {
			t.Fatal(err)
		}
	}
	stopped("")
	stopped("version + 1")
	if _, err := Open(t.Context(), Options{URL: url}); !errors.Is(err, ErrHalfFilled) {
		t.Errorf("what another version began: %v", err)
	}
	stopped("version - 1")
	begin(t, url)
	if got, want := tablesOf(t, url), inOneSession(t); !slices.Equal(got, want) {
		t.Errorf("there are\n%s\nthere must be\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var marks int
	if err := connected(t, url).write.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM schema_version`).Scan(&marks); err != nil || marks != 1 {
		t.Errorf("%d marks are left: %v", marks, err)
	}
}

// A database that must not be filled stays empty, and one in which a file fails holds nothing that is in the way of the next start.
func TestAFirstStartThatFails(t *testing.T) {
	url := postgresOnly(t)
	refused := errors.New("there are keys")
	if _, err := Open(t.Context(), Options{URL: url, Fresh: func() error { return refused }}); !errors.Is(err, refused) {
		t.Errorf("a database that must not be filled: %v", err)
	}
	if got := tablesOf(t, url); len(got) != 0 {
		t.Errorf("it holds %v", got)
	}
	db := connected(t, url)
	if _, err := db.write.ExecContext(t.Context(), `CREATE TABLE search_docs (id BIGINT)`); err != nil { // what is in the way of a file
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{URL: url}); err == nil || !strings.Contains(err.Error(), "search_docs") {
		t.Errorf("a table in the way: %v", err)
	}
	if _, err := db.write.ExecContext(t.Context(), `DROP TABLE search_docs`); err != nil {
		t.Fatal(err)
	}
	begin(t, url)
}

// Nodes that are started at once on an empty database fill it once.
func TestNodesStartedAtOnceFillOnce(t *testing.T) {
	url := postgresOnly(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { begin(t, url) })
	}
	wg.Wait()
}

// begin is a start that must succeed.
func begin(t *testing.T, url string) {
	t.Helper()
	db, err := Open(context.WithoutCancel(t.Context()), Options{URL: url})
	if err != nil {
		t.Error(err)
		return
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// connected has sessions and nothing else.
func connected(t *testing.T, url string) *DB {
	t.Helper()
	db := &DB{opts: Options{URL: url, Readers: 1}}
	if err := db.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.closePools(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// inOneSession is what the files make when one transaction applies them all.
func inOneSession(t *testing.T) []string {
	t.Helper()
	url := postgresOnly(t)
	db := connected(t, url)
	tx, err := db.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.bringUp(t.Context(), tx), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	return tablesOf(t, url)
}

// tablesOf lists columns and indexes.
func tablesOf(t *testing.T, url string) []string {
	t.Helper()
	rows, err := connected(t, url).write.QueryContext(t.Context(), `
		SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '')
			FROM information_schema.columns WHERE table_schema = current_schema()
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

package pgtest

import (
	"database/sql"
	"fmt"
	"testing"
)

// Lock keeps a table from being written to until release is called; waiting is how many sessions wait for any lock of the database's.
func Lock(t testing.TB, url, table string) (waiting func() int, release func()) {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	hold, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hold.ExecContext(t.Context(), fmt.Sprintf("LOCK TABLE %s IN EXCLUSIVE MODE", table)); err != nil {
		t.Fatal(err)
	}
	waiting = func() (n int) {
		t.Helper()
		err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
			WHERE NOT l.granted AND a.datname = current_database()`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return waiting, func() {
		t.Helper()
		if err := hold.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

package pgtest

import (
	"database/sql"
	"os"
	"testing"
)

func TestEachTestHasItsOwnSafeDatabase(t *testing.T) {
	if os.Getenv("REMPART_TEST_ENGINES") == "sqlite" {
		t.Skip("REMPART_TEST_ENGINES=sqlite")
	}
	for range 2 {
		db, err := sql.Open("postgres", New(t))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		var fsync, collate string
		err = db.QueryRowContext(t.Context(), `SELECT current_setting('fsync'), datcollate FROM pg_database
			WHERE datname = current_database()`).Scan(&fsync, &collate)
		if err != nil || fsync != "on" || collate != "C" {
			t.Errorf("fsync %q, collation %q, error %v", fsync, collate, err)
		}
		if _, err := db.ExecContext(t.Context(), `CREATE TABLE mine (x BIGINT)`); err != nil {
			t.Error(err)
		}
	}
}

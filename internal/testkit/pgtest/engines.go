package pgtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Each runs a test once for each database engine, handing it the URL or path of an empty database.
// REMPART_TEST_ENGINES=sqlite or =postgres leaves the other engine out; without it a missing PostgreSQL is a failure.
func Each(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	EachFilled(t, func(string) error { return nil }, fn)
}

// EachFilled is [Each] with a PostgreSQL database that is a copy of one which fill prepared; see [NewFilled].
func EachFilled(t *testing.T, fill func(url string) error, fn func(t *testing.T, url string)) {
	t.Helper()
	if os.Getenv("REMPART_TEST_ENGINES") != "postgres" {
		t.Run("sqlite", func(t *testing.T) { fn(t, filepath.Join(t.TempDir(), "rempart.db")) })
	}
	if Wanted() {
		t.Run("postgres", func(t *testing.T) { fn(t, NewFilled(t, fill)) })
	}
}

// Wanted reports whether tests are to run on PostgreSQL.
func Wanted() bool { return os.Getenv("REMPART_TEST_ENGINES") != "sqlite" }

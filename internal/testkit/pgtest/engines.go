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
	only := os.Getenv("REMPART_TEST_ENGINES")
	if only != "postgres" {
		t.Run("sqlite", func(t *testing.T) { fn(t, filepath.Join(t.TempDir(), "rempart.db")) })
	}
	if only != "sqlite" {
		t.Run("postgres", func(t *testing.T) { fn(t, New(t)) })
	}
}

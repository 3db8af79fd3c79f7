// Package storagetest opens throw-away databases for tests of whatever rests on storage.
package storagetest

import (
	"context"
	"testing"

	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// Each runs a test on an open, empty database of each engine. See [pgtest.Each] for how to leave one out.
func Each(t *testing.T, fn func(t *testing.T, db *storage.DB)) {
	t.Helper()
	EachWith(t, storage.Options{}, fn)
}

// EachWith is [Each] with options; their URL is filled in.
func EachWith(t *testing.T, o storage.Options, fn func(t *testing.T, db *storage.DB)) {
	t.Helper()
	pgtest.EachFilled(t, Migrate, func(t *testing.T, url string) {
		o.URL = url
		fn(t, Open(t, o))
	})
}

// Migrate makes the schema in an empty database.
func Migrate(url string) error {
	db, err := storage.Open(context.Background(), storage.Options{URL: url})
	if err != nil {
		return err
	}
	return db.Close()
}

// Open opens a database and closes it when the test ends.
func Open(t testing.TB, o storage.Options) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return db
}

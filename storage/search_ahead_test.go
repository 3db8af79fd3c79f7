package storage

import (
	"testing"

	"rempart/internal/testkit/pgtest"
)

// Readers ask the disk for many pages at a time; a setting that the server does not know does not keep them out.
func TestReadersAskForPagesAhead(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		if !IsPostgres(url) {
			t.Skip("a setting of PostgreSQL")
		}
		db := openAt(t, url)
		var got string
		if err := db.read.QueryRowContext(t.Context(), `SHOW effective_io_concurrency`).Scan(&got); err != nil || got != pagesAhead {
			t.Errorf("%q pages at a time, want %s: %v", got, pagesAhead, err)
		}
		pool := db.openWilling(t.Context(), 1, "no_such_setting", "1")
		if err := pool.PingContext(t.Context()); err != nil {
			t.Error(err)
		}
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

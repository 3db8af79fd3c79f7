package ledger_test

import (
	"testing"

	"rempart/core/ledger"
	"rempart/storage"
	"rempart/storage/storagetest"
)

// Whoever comes when the ledger has closed is told so, and waits for nobody.
func TestNothingLeavesAfterTheEnd(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s, err := ledger.New(t.Context(), ledger.Options{DB: db, Key: key(t)})
		if err != nil {
			t.Fatal(err)
		}
		begin(t, s, intent("a.org", "FR"))
		s.Close()
		for range 64 { // there is room to wait in, of which nobody takes anything
			if _, err := s.Begin(t.Context(), intent("a.org", "FR")); err == nil {
				t.Fatal("something leaves that is not recorded")
			}
		}
	})
}

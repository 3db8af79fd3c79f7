package ledger_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"rempart/core/ledger"
	"rempart/internal/testkit/killed"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

const (
	crashURL = "REMPART_LEDGER_CRASH_URL"
	crashKey = "REMPART_LEDGER_CRASH_KEY"
)

// TestKilledLedgersKeepWhatTheyAcknowledged kills a process that records, and looks for all that it was told is recorded.
func TestKilledLedgersKeepWhatTheyAcknowledged(t *testing.T) {
	pgtest.EachFilled(t, storagetest.Migrate, func(t *testing.T, url string) {
		file := filepath.Join(t.TempDir(), "ledger.key")
		acknowledged := map[string]bool{}
		for round := range 3 {
			for _, dest := range killed.Child(t, "TestLedgerCrashChild", []string{crashURL + "=" + url, crashKey + "=" + file}, 150) {
				acknowledged[strconv.Itoa(round)+dest] = true
			}
		}
		db := storagetest.Open(t, storage.Options{URL: url})
		k, err := ledger.LoadOrCreateKey(file, "home.example")
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, ledger.Options{DB: db, Key: k})
		if r := sound(t, db, ledger.Verification{Key: k.Public}); r.Records < int64(len(acknowledged)) {
			t.Errorf("%d records of %d acknowledged", r.Records, len(acknowledged))
		}
		for n := range 150 {
			if trail, err := s.TraceDest(t.Context(), fmt.Sprintf("d%d.example", n)); err != nil || len(trail.Entries) < 1 {
				t.Fatalf("record %d: %d found, %v", n, len(trail.Entries), err)
			}
		}
	})
}

// TestLedgerCrashChild is the process that is killed. It begins anew with the same names each time.
func TestLedgerCrashChild(t *testing.T) {
	url := os.Getenv(crashURL)
	if url == "" {
		t.Skip("runs in a process of its own")
	}
	k, err := ledger.LoadOrCreateKey(os.Getenv(crashKey), "home.example")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, ledger.Options{DB: storagetest.Open(t, storage.Options{URL: url}), Key: k})
	for n := 0; ; n++ {
		dest := fmt.Sprintf("d%d.example", n)
		begin(t, s, intent(dest, "FR"))[0].End(ledger.Outcome{OK: true})
		if err := killed.Done(dest); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTwoNodesWriteOneLog appends from several ledgers of one database at once.
func TestTwoNodesWriteOneLog(t *testing.T) {
	url := pgtest.NewFilled(t, storagetest.Migrate)
	k := key(t)
	var wait sync.WaitGroup
	nodes := make([]*ledger.Service, 2)
	for i := range nodes {
		nodes[i] = open(t, ledger.Options{DB: storagetest.Open(t, storage.Options{URL: url}), Key: k})
		for range 4 {
			wait.Go(func() {
				for range 50 {
					in := intent("fr.example", "FR")
					in.About = []ledger.Name{ledger.Room(room)}
					if _, err := nodes[i].Begin(context.Background(), in); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wait.Wait()
	trail, err := nodes[0].TraceName(t.Context(), ledger.Room(room))
	if err != nil || len(trail.Entries) != 400 {
		t.Errorf("%d of 400 records found: %v", len(trail.Entries), err)
	}
	if err := nodes[1].Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	sound(t, storagetest.Open(t, storage.Options{URL: url}), ledger.Verification{Key: k.Public})
}

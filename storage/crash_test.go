package storage

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"rempart/internal/testkit/killed"
)

const (
	crashURL     = "REMPART_CRASH_URL"  // set in the process that is killed
	crashFrom    = "REMPART_CRASH_FROM" // the first number it writes
	crashWriters = 32
)

// kills is how often a process is killed for each engine: few in the daily tests, 100 with REMPART_PROVE=1.
func kills() int {
	if os.Getenv("REMPART_PROVE") == "1" {
		return 100
	}
	return 3
}

// TestKilledProcessesLoseNothingAcknowledged kills a writing process again and again, and looks after each time.
func TestKilledProcessesLoseNothingAcknowledged(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		acknowledged := map[int64]bool{}
		from := int64(0)
		for range kills() {
			got := runAndKill(t, url, from, 1+rand.IntN(400))
			for _, id := range got {
				acknowledged[id] = true
			}
			from = checkAfterCrash(t, url, acknowledged)
			if t.Failed() {
				return
			}
		}
		t.Logf("%d processes killed, %d writes acknowledged", kills(), len(acknowledged))
	})
}

// runAndKill starts a writer, kills it once it acknowledged enough writes, and gives what it had acknowledged by then.
func runAndKill(t *testing.T, url string, from int64, enough int) (ids []int64) {
	t.Helper()
	for _, number := range killed.Child(t, "TestCrashChild", []string{crashURL + "=" + url, crashFrom + "=" + strconv.FormatInt(from, 10)}, enough) {
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// checkAfterCrash opens the database as a restart does and gives a number that no row has yet.
func checkAfterCrash(t *testing.T, url string, acknowledged map[int64]bool) int64 {
	t.Helper()
	r := openRig(t, Options{URL: url})
	defer func() { _ = r.Close() }()
	checkStream(t, r)
	there := r.texts(t)
	for id := range acknowledged {
		if there[id] != fmt.Sprint(id) {
			t.Errorf("the acknowledged write %d is lost", id)
		}
	}
	next := int64(0)
	for id := range there {
		next = max(next, id+1)
	}
	r.commit(t, live(row(next, fmt.Sprint(next))))
	return next + 1
}

// checkStream checks that positions have no gap and that each belongs to one row.
func checkStream(t *testing.T, r *rig) {
	t.Helper()
	var pos, last, count, rows, distinct int64
	err := r.row(context.Background(), `SELECT (SELECT pos FROM stream), (SELECT COALESCE(MAX(pos), 0) FROM changes), (SELECT COUNT(*) FROM changes),
		(SELECT COUNT(*) FROM sample WHERE pos > 0), (SELECT COUNT(DISTINCT pos) FROM sample WHERE pos > 0)`, nil, &pos, &last, &count, &rows, &distinct)
	if err != nil {
		t.Fatal(err)
	}
	if pos != last || last != count || rows != distinct || r.Position() != pos {
		t.Errorf("stream at %d, last entry %d, %d entries, %d rows at %d positions", pos, last, count, rows, distinct)
	}
	err = r.each(context.Background(), `SELECT id FROM sample WHERE pos > 0 AND pos NOT IN (SELECT pos FROM changes)`, nil, func(rows *sql.Rows) error {
		t.Error("a row without its entry in the stream")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Engine() == "sqlite" {
		var verdict string
		if err := r.row(context.Background(), `PRAGMA quick_check`, nil, &verdict); err != nil || verdict != "ok" {
			t.Errorf("quick_check: %q, %v", verdict, err)
		}
	}
}

// TestCrashChild is the process that is killed: it writes numbered rows for ever and says which were acknowledged.
func TestCrashChild(t *testing.T) {
	url := os.Getenv(crashURL)
	if url == "" {
		t.Skip("runs in a process of its own")
	}
	from, err := strconv.ParseInt(os.Getenv(crashFrom), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	r := openRig(t, Options{URL: url})
	var out sync.Mutex
	var wait sync.WaitGroup
	for w := range int64(crashWriters) {
		wait.Go(func() {
			for id := from + w; ; id += crashWriters {
				c := &Change{}
				at := c.Live(Live{Kind: KindProfile, User: 1}) + 1
				c.Add(&sample{At: At{Live: at}, id: id, text: fmt.Sprint(id), data: make([]byte, 500)})
				if err := r.Commit(context.Background(), c); err != nil {
					t.Error(err)
					return
				}
				out.Lock()
				err := killed.Done(strconv.FormatInt(id, 10))
				out.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wait.Wait()
}

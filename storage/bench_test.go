package storage

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/testkit/cputime"
	"rempart/internal/testkit/pgtest"
)

// BenchmarkCommit writes what a message event writes, by 1, 8 and 64 senders, and reports this process's CPU time.
func BenchmarkCommit(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, senders := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", engine, senders), func(b *testing.B) { benchmarkCommit(b, engine, senders) })
		}
	}
}

func benchmarkCommit(b *testing.B, engine string, senders int) {
	url := b.TempDir() + "/rempart.db"
	if engine == "postgres" {
		if os.Getenv("REMPART_TEST_ENGINES") == "sqlite" {
			b.Skip("REMPART_TEST_ENGINES=sqlite")
		}
		url = pgtest.New(b)
	}
	r := openRig(b, Options{URL: url, Publish: func(Batch) {}})
	r.commit(b, newRoom(1))
	body := make([]byte, 700)
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	began, batches := int64(cputime.Used()), r.committer.batch
	b.SetParallelism(max(1, senders/2))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := r.Commit(context.Background(), messageChange(next.Add(1), body)); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(int64(cputime.Used())-began)/float64(b.N)/1e3, "cpu-µs/op")
	b.ReportMetric(float64(b.N)/float64(r.committer.batch-batches), "changes/batch")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
}

// messageChange is a message of the benchmarks: event, text, transaction id, receipt, live entry and the room's row.
func messageChange(n int64, body []byte) *Change {
	c := &Change{}
	at := At{Live: c.Live(Live{Kind: KindEvent, Room: 1}) + 1}
	id := matrix.EventID(fmt.Sprintf("$%043d", n))
	e := &EventRow{At: at, NID: n, Room: 1, IDHash: n * 7919, Sender: n % 100, Depth: n, TS: n, Flags: FlagNotify, Prev: []int64{n - 1}, Auth: []int64{1, 2, 3}}
	c.Add(e, &EventJSONRow{NID: n, ID: id, JSON: body},
		&TransactionRow{Device: n % 100, TxnID: fmt.Sprintf("m%d", n), Event: n, TS: n})
	c.Rooms = []RoomWrite{{Room: 1, BaseVersion: n, Remove: []int64{n - 1}, Add: []int64{n}, Depth: n, Events: []*EventRow{e}}}
	return c
}

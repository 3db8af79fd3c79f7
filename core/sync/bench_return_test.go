package sync_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	syncing "rempart/core/sync"
	"rempart/internal/testkit/cputime"
	"rempart/internal/testkit/pgtest"
)

// What it costs each of a thousand who come back at once, as after a restart, when nothing of them is in memory.
func BenchmarkReturn1000(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { returning(b, sqliteURL(b)) })
	b.Run("postgres", func(b *testing.B) { returning(b, pgtest.New(b)) })
}

func returning(b *testing.B, url string) {
	r := newRig(b, url)
	people := make([]*client, 1000)
	for i := range people {
		people[i] = r.user(fmt.Sprint("u", i))
	}
	for i := 0; i < len(people); i += 50 {
		room := people[i].public()
		for _, c := range people[i+1 : i+50] {
			c.join(room)
		}
	}
	for _, c := range people {
		c.since = c.next().NextBatch
	}
	var used, took time.Duration
	n := 0
	for ; b.Loop(); n++ {
		for _, c := range people {
			r.sync.ForgetUser(c.caller.UserNID)
		}
		began, at := cputime.Used(), time.Now()
		var all sync.WaitGroup
		for _, c := range people {
			all.Go(func() { c.drain(b, syncing.Request{Since: c.since}) })
		}
		all.Wait()
		used, took = used+cputime.Used()-began, took+time.Since(at)
	}
	b.ReportMetric(float64(used.Microseconds())/float64(n*len(people)), "cpu-µs/sync")
	b.ReportMetric(float64(took.Milliseconds())/float64(n), "ms/all")
}

package sync_test

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"rempart/core/ledger"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/internal/testkit/cputime"
)

// What the record of reads costs a delivery, in slices of 60 messages to a hundred who wait, with the record and without in turn,
// so that what else happens on the machine is in both. Writing what was read down is part of it.
//
// more-ns is the mean difference of the pairs in processor time, se-ns its standard error.
func BenchmarkReadsRecorded(b *testing.B) {
	r := newRig(b, sqliteURL(b))
	key, err := ledger.LoadOrCreateKey(filepath.Join(b.TempDir(), "ledger.key"), "home.example")
	if err != nil {
		b.Fatal(err)
	}
	record, err := ledger.New(ctx, ledger.Options{DB: r.db, Key: key})
	if err != nil {
		b.Fatal(err)
	}
	defer record.Close()
	recorded := true // changes only while nobody is told anything
	r.sync.Close()
	r.sync = syncing.New(syncing.Options{DB: r.db, Rooms: r.rooms, Push: r.push, Bus: r.bus,
		Meter: func(c *matrix.Caller, room matrix.RoomID, from, to, events int64) {
			if recorded {
				record.Read(ledger.Reader{Session: c.Session, User: c.User, Addr: c.Addr}, room, from, to, events)
			}
		}})
	a := r.audience(b)
	const messages = 60
	later := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	slice := func() float64 {
		began := cputime.Used()
		for range messages {
			a.say("some words that are as long as usual")
		}
		if recorded { // a question, and be it about the year 2100, has what was read written down first
			if _, err := record.ReadAbroad(ctx, later, later); err != nil {
				b.Fatal(err)
			}
		}
		return float64(cputime.Used()-began) / (messages * listeners)
	}
	slice() // the first one makes the names known
	var without, more, squares float64
	n := 0
	for ; b.Loop(); n++ {
		recorded = false
		off := slice()
		recorded = true
		on := slice()
		without += off
		more += on - off
		squares += (on - off) * (on - off)
	}
	a.leave()
	pairs := float64(n)
	mean := more / pairs
	b.ReportMetric(without/pairs, "cpu-ns/delivery")
	b.ReportMetric(mean, "more-ns")
	b.ReportMetric(math.Sqrt((squares/pairs-mean*mean)/pairs), "se-ns")
}

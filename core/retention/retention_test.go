package retention_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"rempart/core/retention"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// folds notes what it is asked to fold, and how often messages are to be deleted.
type folds struct {
	asked   []rooms.Folding
	expired int
}

func (f *folds) ExpireMessages(context.Context) (int, error) {
	f.expired++
	return 0, nil
}

func (f *folds) Fold(_ context.Context, w rooms.Folding) error {
	f.asked = append(f.asked, w)
	return nil
}

type rig struct {
	t   *testing.T
	db  *storage.DB
	now time.Time
	s   *retention.Service
	folds
}

func newRig(t *testing.T, url string) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Now()}
	var err error
	if r.db, err = storage.Open(t.Context(), storage.Options{URL: url}); err != nil {
		t.Fatal(err)
	}
	r.s, err = retention.New(t.Context(), retention.Options{DB: r.db, Rooms: &r.folds, Clock: func() time.Time { return r.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.s.Close()
		if err := r.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) commit(c *storage.Change) {
	r.t.Helper()
	if err := r.db.Commit(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) due() {
	r.t.Helper()
	if err := r.s.Due(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// messages queues some for a device, each with an entry of its own.
func (r *rig) messages(device int64, n int) {
	c := &storage.Change{}
	for range n {
		live := c.Live(storage.Live{Kind: storage.KindToDevice, User: 1})
		c.Add(&storage.ToDeviceRow{At: storage.At{Live: live + 1}, Device: device, Sender: "@a:b", Type: "m.x", Content: []byte("{}")})
	}
	r.commit(c)
}

func (r *rig) queue(device int64) int {
	r.t.Helper()
	list, err := r.db.ListToDevice(r.t.Context(), device, 0, r.db.Position(), 10_000)
	if err != nil {
		r.t.Fatal(err)
	}
	return len(list)
}

const day = 24 * time.Hour

// A device that was seen lately keeps its queue, and one that is new; the others' goes once they have been away for long.
func TestToDevice(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		ago := func(days int) int64 { return r.now.Add(-time.Duration(days) * day).UnixMilli() }
		c := &storage.Change{}
		c.Guard(storage.InsertUser(storage.User{NID: 1, ID: "@u:home.example", Tenant: 1}))
		for nid, made := range map[int64]int64{1: ago(300), 2: ago(300), 3: ago(100), 4: ago(300)} {
			id := matrix.DeviceID([]string{"", "SEEN", "AWAY", "NEW", "NEVER"}[nid])
			c.Guard(storage.InsertDevice(storage.Device{NID: nid, User: 1, ID: id, Created: made}, new(int64)))
			c.Add(&storage.SessionRow{Session: storage.Session{NID: nid, User: 1, Device: nid, Tenant: 1, TokenHash: []byte(id)}})
		}
		c.Add(&storage.SessionSeenRow{Session: 1, TS: ago(100)}, &storage.SessionSeenRow{Session: 2, TS: ago(200)})
		r.commit(c)
		for device := range int64(4) {
			r.messages(device+1, 1)
		}
		r.messages(2, 1200) // more than a piece
		r.due()
		for device, want := range map[int64]int{1: 1, 2: 0, 3: 1, 4: 0} {
			if got := r.queue(device); got != want {
				t.Errorf("device %d has %d messages, want %d", device, got, want)
			}
		}
	})
}

// Transaction ids go by age, each on its own.
func TestTransactions(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		ids := make([]storage.TransactionRow, 1300)
		c := &storage.Change{}
		for i := range ids {
			ids[i] = storage.TransactionRow{Device: int64(i % 7), Endpoint: int64(i % 3), TxnID: fmt.Sprint(i), Event: int64(i + 1),
				TS: r.now.Add(-time.Duration(i%60) * day).UnixMilli()}
			c.Guard(storage.InsertTransaction(ids[i]))
		}
		r.commit(c)
		r.due()
		for i := range ids {
			_, err := r.db.FindTransaction(t.Context(), &ids[i])
			if gone := errors.Is(err, storage.ErrNotFound); err != nil && !gone || gone != (i%60 > 30) {
				t.Fatalf("an id of %d days: %v", i%60, err)
			}
		}
	})
}

// Entries of the stream go once they are a week old; what has not been pushed stays. A process that has not heard of them
// writes no more.
func TestChanges(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		r.messages(1, 1100)
		r.due() // marks
		old := r.db.Position()
		r.messages(1, 1)
		r.now = r.now.Add(6 * day)
		r.due()
		if n := r.entries(); n != int(old)+1 {
			t.Fatalf("%d entries after six days, want %d", n, old+1)
		}
		r.now = r.now.Add(2 * day)
		r.due()
		if n := r.entries(); n != 1 {
			t.Errorf("%d entries after eight days, want the last", n)
		}
		r.messages(1, 1)
		if n := r.entries(); n != 2 {
			t.Errorf("%d entries, want the last two", n)
		}
	})
}

func (r *rig) entries() int {
	r.t.Helper()
	n, err := r.db.CountChanges(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// A job is done once, by one of the nodes, and one that comes again waits for its time.
func TestJobs(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r, other := newRig(t, url), newRig(t, url)
		c := &storage.Change{}
		for i := range int64(10) {
			body := fmt.Appendf(nil, `{"room":%d,"before":7}`, i)
			c.Add(&storage.JobRow{Job: storage.Job{NID: 100 + i, Kind: rooms.FoldJob, Body: body}})
		}
		r.commit(c)
		var both sync.WaitGroup
		both.Go(r.due)
		both.Go(other.due)
		both.Wait()
		r.due()
		seen := map[int64]bool{}
		for _, f := range append(r.asked, other.asked...) {
			seen[f.Room] = true
		}
		if len(seen) != 10 || len(r.asked)+len(other.asked) != 10 {
			t.Errorf("folded %v and %v, want each once", r.asked, other.asked)
		}
		if n := r.expired + other.expired; n != 1 {
			t.Errorf("messages were deleted %d times, want once", n)
		}
		for _, kind := range []string{"retention.changes", "retention.transactions", "retention.todevice", "retention.messages"} {
			if jobs, err := r.db.ListDueJobs(t.Context(), kind, r.now.Add(30*time.Minute).UnixMilli(), 9); err != nil || len(jobs) != 0 {
				t.Errorf("%s is due again: %v %v", kind, jobs, err)
			}
			if jobs, err := r.db.ListDueJobs(t.Context(), kind, r.now.Add(day).UnixMilli(), 9); err != nil || len(jobs) != 1 {
				t.Errorf("%s does not come again: %v %v", kind, jobs, err)
			}
		}
	})
}

// The jobs are there after the first start: a further one waits for no commit. The only place among those who wait for one
// is taken, so that who wants to commit waits until the context ends.
func TestAFurtherStartCommitsNothing(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		newRig(t, url)
		db, err := storage.Open(t.Context(), storage.Options{URL: url, Queue: 1})
		if err != nil {
			t.Fatal(err)
		}
		slot, err := db.Reserve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		s, err := retention.New(ctx, retention.Options{DB: db, Rooms: &folds{}})
		if err == nil {
			s.Close()
		}
		slot.Release()
		if err := errors.Join(err, db.Close()); err != nil {
			t.Error(err)
		}
	})
}

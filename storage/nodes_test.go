package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// await waits until the rig has published count entries.
func (r *rig) await(t *testing.T, count int) []Live {
	t.Helper()
	for len(r.published()) < count {
		select {
		case <-t.Context().Done():
			t.Fatal("the test ended")
		case <-r.wake:
		}
	}
	return r.published()
}

func TestTwoNodesSeeOneOrder(t *testing.T) {
	url := postgresOnly(t)
	nodes := []*rig{openRig(t, Options{URL: url}), openRig(t, Options{URL: url})}
	const writers, each = 8, 50
	var wait sync.WaitGroup
	errs := make(chan error, 2*writers*each)
	for n, r := range nodes {
		for w := range writers {
			wait.Go(func() {
				for i := range each {
					id := int64(n*1_000_000 + w*1000 + i)
					errs <- r.Commit(context.Background(), &Change{Rows: []Row{&sample{At: At{Live: 1}, id: id, text: "x", data: []byte{}}},
						Lives: []Live{{Kind: KindProfile, User: id + 1, Value: id}}})
				}
			})
		}
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	all := 2 * writers * each
	a, b := nodes[0].await(t, all), nodes[1].await(t, all)
	for i := range all {
		if a[i].Pos != int64(i+1) || b[i].Pos != int64(i+1) || a[i].User != b[i].User {
			t.Fatalf("entry %d: %v on one node, %v on the other", i+1, a[i], b[i])
		}
		if (a[i].Value == nil) == (b[i].Value == nil) {
			t.Fatalf("entry %d: values %v and %v, want one from the node that wrote it", i+1, a[i].Value, b[i].Value)
		}
	}
	for _, r := range nodes {
		r.mu.Lock()
		for i, batch := range r.batches {
			if i > 0 && batch.After != r.batches[i-1].To {
				t.Errorf("batch %d follows %d, want %d", i, batch.After, r.batches[i-1].To)
			}
		}
		r.mu.Unlock()
	}
}

func TestAnIdleNodeHearsOfCommits(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		writer, idle := openRig(t, Options{URL: url}), openRig(t, Options{URL: url})
		writer.commit(t, live(row(1, "a")))
		got := idle.await(t, 1)
		if got[0].Pos != 1 || got[0].User != 7 || got[0].Value != nil {
			t.Errorf("heard %v", got)
		}
		idle.commit(t, live(row(2, "b")))
		if got := writer.await(t, 2); got[1].Pos != 2 {
			t.Errorf("heard %v", got)
		}
	})
}

func TestNodesThatLoseTheirConnectionsHearEverything(t *testing.T) {
	url := postgresOnly(t)
	writer, idle := openRig(t, Options{URL: url}), openRig(t, Options{URL: url})
	for i := range int64(3) {
		if _, err := writer.read.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
		writer.commit(t, live(row(i, "a")))
		idle.await(t, int(i+1))
	}
}

func TestEphemeralMessagesReachOtherNodes(t *testing.T) {
	url := postgresOnly(t)
	own, other := make(chan string, 1<<16), make(chan string, 1<<16) // Why so much room: how often "ready" is said until both listen nobody knows
	a := openRig(t, Options{URL: url, Signal: func(p []byte) { own <- string(p) }})
	b := openRig(t, Options{URL: url, Signal: func(p []byte) { other <- string(p) }})
	// Why first a message back: once b's has come to a, both listen.
	for listening := false; !listening; {
		if err := b.Broadcast(t.Context(), []byte("ready")); err != nil {
			t.Fatal(err)
		}
		if err := a.Broadcast(t.Context(), []byte("ready")); err != nil {
			t.Fatal(err)
		}
		a.commit(t, live())
		b.await(t, 1)
		listening = len(own) > 0 && len(other) > 0
	}
	long := make([]byte, maxSignal)
	for _, m := range [][]byte{[]byte("typing\x00"), long} {
		if err := a.Broadcast(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		for got := "ready"; got != string(m); got = <-other {
			if got != "ready" {
				t.Fatalf("heard %q, want %q", got, m)
			}
		}
	}
	if err := a.Broadcast(t.Context(), make([]byte, maxSignal+1)); !errors.Is(err, ErrSignalTooLong) {
		t.Errorf("too long a message: %v", err)
	}
	for len(own) > 0 {
		if got := <-own; got != "ready" {
			t.Errorf("a node heard its own message %q", got)
		}
	}
}

func TestNumbersAreNeverGivenTwice(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		nodes := []*rig{openRig(t, Options{URL: url}), openRig(t, Options{URL: url})}
		var mu sync.Mutex
		given := map[int64]bool{}
		var wait sync.WaitGroup
		for i, n := range []int64{1, idBlockSize - 1, idBlockSize, idBlockSize + 1, 3 * idBlockSize, 7, 5000, 2} {
			wait.Go(func() {
				first, err := nodes[i%2].NewIDs(t.Context(), EventNIDs, n)
				mu.Lock()
				defer mu.Unlock()
				if err != nil || first < 1 {
					t.Errorf("%d numbers from %d: %v", n, first, err)
				}
				for id := first; id < first+n; id++ {
					if given[id] {
						t.Errorf("%d was given twice", id)
						return
					}
					given[id] = true
				}
			})
		}
		wait.Wait()
	})
}

func TestNumbersAreThereWhenAllSlotsAreHeld(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url, Queue: 2})
		for range 2 {
			slot, err := r.Reserve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer slot.Release()
		}
		if _, err := r.NewID(t.Context(), RoomNIDs); err != nil {
			t.Error(err)
		}
		if _, err := r.UserNID(t.Context(), "@a:b"); err != nil {
			t.Error(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Reserve(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("a third slot: %v", err)
		}
	})
}

func TestClosingWritesWhatIsQueued(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		slot, err := r.Reserve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stuck := make(chan struct{})
		first := guarded(live(row(0, "first")), onceWritten(func() { close(stuck) }))
		changes := []*Change{first}
		r.committer.publishing.Lock()
		submit(t, r, first)
		<-stuck
		for i := range int64(20) {
			c := live(row(i+1, fmt.Sprint(i)))
			submit(t, r, c)
			changes = append(changes, c)
		}
		r.committer.queue.close()
		late := live(row(99, "late"))
		slot.Submit(late)
		if err := late.Wait(); !errors.Is(err, ErrClosed) {
			t.Errorf("a late change: %v", err)
		}
		r.committer.publishing.Unlock()
		for i, c := range changes {
			if err := c.Wait(); err != nil {
				t.Errorf("change %d: %v", i, err)
			}
		}
		if err := r.Commit(t.Context(), live()); !errors.Is(err, ErrClosed) {
			t.Errorf("after the close: %v", err)
		}
		if got := len(r.texts(t)); got != 21 {
			t.Errorf("%d rows, want 21", got)
		}
	})
}

func submit(t *testing.T, r *rig, c *Change) {
	t.Helper()
	slot, err := r.Reserve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slot.Submit(c)
}

func TestSubscribersMayReadAndPanic(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		var r *rig
		var seen int64
		r = openRig(t, Options{URL: url, Readers: 1, Publish: func(Batch) {
			if err := r.row(context.Background(), `SELECT COUNT(*) FROM sample`, nil, &seen); err != nil {
				t.Error(err)
			}
			panic("a subscriber's mistake")
		}})
		r.commit(t, live(row(1, "a")))
		r.commit(t, live(row(2, "b")))
		if seen != 2 || r.Position() != 2 {
			t.Errorf("saw %d rows, position %d", seen, r.Position())
		}
	})
}

// occupyReader keeps one reader busy until the test ends.
func (r *rig) occupyReader(t *testing.T) {
	t.Helper()
	rows, err := r.query(t.Context(), `SELECT 1`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestCommitsNeedNoReader holds the only reader while another node's changes have to be read.
func TestCommitsNeedNoReader(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		other, r := openRig(t, Options{URL: url}), openRig(t, Options{URL: url, Readers: 1})
		r.occupyReader(t)
		other.commit(t, live(row(1, "a")))
		r.commit(t, live(row(2, "b")))
		if got := r.published(); len(got) != 2 || got[0].Pos != 1 || got[1].Pos != 2 {
			t.Errorf("published %v", got)
		}
	})
}

// TestAProcessWhoseReadersAreBusyHearsOfCommits holds the only reader: a token that another process ended must not live
// on for as long as somebody reads.
func TestAProcessWhoseReadersAreBusyHearsOfCommits(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		other, r := openRig(t, Options{URL: url}), openRig(t, Options{URL: url, Readers: 1})
		r.occupyReader(t)
		other.commit(t, live(row(1, "a")))
		r.await(t, 1)
	})
}

func TestRoundTripsOfABatch(t *testing.T) {
	p, through := newProxy(t, postgresOnly(t))
	r := openRig(t, Options{URL: through})
	batch := func(from int64) []*Change {
		var all []*Change
		for i := from; i < from+20; i++ {
			c := live(row(i, "a"), &nodeRow{node: -i})
			c.Rooms = []RoomWrite{{Room: 1, BaseVersion: i - 1}}
			all = append(all, c)
		}
		return all
	}
	r.commit(t, newRoom(1))
	if err := errors.Join(r.together(t, batch(1)...)...); err != nil {
		t.Fatal(err) // statements are prepared now
	}
	next := batch(21)
	r.together(t, live(row(1000, "")), live(row(1001, "")))
	r.follower.close() // whose questions, each second, would be counted too
	before := int64(0)
	next[0].Guard(Guard{sql: `SELECT 1`, want: anyRows, begin: func() { before = p.answers.Load() }})
	if err := errors.Join(r.together(t, next...)...); err != nil {
		t.Fatal(err)
	}
	r.follower = newFollower(r.DB)
	// Of these, begin and rooms came before the guard, which is not one of the batch's own.
	if trips := 2 + p.answers.Load() - before - 1; trips > 6 {
		t.Errorf("%d round trips a batch, want at most 6", trips)
	} else {
		t.Logf("%d round trips", trips)
	}
}

// newRoom adds a room of that number.
func newRoom(nid int64) *Change {
	c := &Change{}
	room := &RoomRow{NID: nid, RoomID: "!r:x", RoomVersion: "12"}
	c.Add(room)
	c.Rooms = []RoomWrite{{Room: nid, NewRoom: room}}
	return c
}

package prove

import (
	"context"
	"fmt"
	"maps"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// pair starts two nodes of one server on one PostgreSQL.
func pair(t *testing.T) (*live.Server, *live.Server) {
	t.Helper()
	db := pgtest.New(t)
	a := live.Start(t, live.Options{Postgres: db})
	b := live.Start(t, live.Options{Postgres: db, SigningKey: a.Dir + "/signing.key"})
	return a, b
}

// at is the same device talking to another node.
func at(c *mx.Client, s *live.Server) *mx.Client {
	other := *c
	other.URL = s.URL
	return &other
}

// TestTwoNodesWriteOneRoom sends into one room through two nodes at once: nothing is lost, both show the same order,
// and syncs on either see everything.
func TestTwoNodesWriteOneRoom(t *testing.T) {
	ctx := context.Background()
	a, b := pair(t)
	each := 60
	if os.Getenv("REMPART_PROVE") != "" {
		each = 1250
	}
	owner, err := mx.Register(ctx, a.URL, "owner")
	mx.Must(t, err)
	room, err := owner.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	first, err := owner.Sync(ctx, "", 0)
	mx.Must(t, err)
	var mu sync.Mutex
	acked := map[string]bool{}
	var senders sync.WaitGroup
	start := make(chan struct{})
	for i := range 16 {
		c, err := mx.Register(ctx, a.URL, fmt.Sprintf("user%d", i))
		mx.Must(t, err)
		mx.Must(t, c.Join(ctx, room))
		if i%2 == 1 {
			c = at(c, b)
		}
		senders.Go(func() {
			<-start
			for n := range each {
				id, err := c.Send(ctx, room, fmt.Sprint(n), fmt.Sprintf("%s %d", c.UserID, n))
				if err != nil {
					t.Errorf("send: %v", err)
					return
				}
				mu.Lock()
				acked[id] = true
				mu.Unlock()
			}
		})
	}
	began := time.Now()
	close(start)
	senders.Wait()
	t.Logf("%.0f events/s", float64(len(acked))/time.Since(began).Seconds())
	if len(acked) != 16*each {
		t.Fatalf("%d different events for %d sends", len(acked), 16*each)
	}
	for _, node := range []*live.Server{a, b} { // first: a node hears of the other's last events a moment after they were answered
		syncUntil(ctx, t, at(owner, node), room, first.NextBatch, acked)
	}
	left, err := owner.History(ctx, room)
	mx.Must(t, err)
	right, err := at(owner, b).History(ctx, room)
	mx.Must(t, err)
	compareOrder(t, left, right)
}

// syncUntil syncs from since on until every event of want has arrived, for a while.
func syncUntil(ctx context.Context, t *testing.T, c *mx.Client, room, since string, want map[string]bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*mx.Patience)
	defer cancel()
	missing := maps.Clone(want)
	for len(missing) > 0 {
		res, err := c.Sync(ctx, since, 10*time.Second)
		if err != nil {
			t.Fatalf("%d events have not reached a sync on %s: %v", len(missing), c.URL, err)
		}
		part := res.Rooms.Join[room]
		got := map[string]bool{}
		for _, e := range part.Timeline.Events {
			got[e.ID] = true
		}
		if part.Timeline.Limited {
			fillGap(ctx, t, c, room, part.Timeline.PrevBatch, since, got)
		}
		maps.DeleteFunc(missing, func(id string, _ bool) bool { return got[id] })
		since = res.NextBatch
	}
}

func compareOrder(t *testing.T, left, right []mx.Event) {
	t.Helper()
	if len(left) != len(right) {
		t.Fatalf("one node shows %d events, the other %d", len(left), len(right))
	}
	for i := range left {
		if left[i].ID != right[i].ID {
			t.Fatalf("event %d is %s on one node and %s on the other", i, left[i].ID, right[i].ID)
		}
	}
}

// TestNodeHangsAndDies stops one node in mid-write, then kills it: the other goes on.
func TestNodeHangsAndDies(t *testing.T) {
	ctx := context.Background()
	a, b := pair(t)
	alice, err := mx.Register(ctx, a.URL, "alice")
	mx.Must(t, err)
	room, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for i := range 8 { // keep node b committing, so that it is stopped in the middle of it
		c := at(alice, b)
		busy.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					short, cancel := context.WithTimeout(ctx, time.Second)
					_, _ = c.Send(short, room, fmt.Sprintf("b%d-%d", i, n), "noise") // the node may be gone: that is the point
					cancel()
				}
			}
		})
	}
	for i, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		b.Signal(sig)
		for n := range 10 {
			limited, cancel := context.WithTimeout(ctx, mx.Patience)
			began := time.Now()
			_, err := alice.Send(limited, room, fmt.Sprintf("a%d-%d", i, n), "still here")
			cancel()
			mx.Must(t, err)
			if n == 0 {
				t.Logf("first answer after %v: %v", sig, time.Since(began).Round(time.Millisecond))
			}
		}
	}
	close(stop)
	busy.Wait()
}

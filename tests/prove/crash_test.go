package prove

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// kills is how often the server is killed: 100 times in the long form.
func kills() int {
	if os.Getenv("REMPART_PROVE") != "" {
		return 100
	}
	return 3
}

// TestKilledUnderLoad kills the server at random moments while senders write. Whatever was answered with 200 must be in
// the room afterwards, nothing twice, and a client that syncs on from its last token must get all of it.
func TestKilledUnderLoad(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { killUnderLoad(t, live.Options{}) })
	t.Run("postgres", func(t *testing.T) { killUnderLoad(t, live.Options{Postgres: pgtest.New(t)}) })
}

// talk is what senders have been promised.
type talk struct {
	server *live.Server
	room   string
	mu     sync.Mutex
	acked  map[string]string // event id → text
}

func killUnderLoad(t *testing.T, o live.Options) {
	ctx := context.Background()
	server := live.Start(t, o)
	listener, err := mx.Register(ctx, server.URL, "listener")
	mx.Must(t, err)
	room, err := listener.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	run := &talk{server: server, room: room, acked: map[string]string{}}
	first, err := listener.Sync(ctx, "", 0)
	mx.Must(t, err)

	stop := make(chan struct{})
	var senders sync.WaitGroup
	for i := range 8 {
		c, err := mx.Register(ctx, server.URL, fmt.Sprintf("sender%d", i))
		mx.Must(t, err)
		mx.Must(t, c.Join(ctx, room))
		senders.Go(func() { run.send(ctx, c, stop) })
	}
	for range kills() {
		before := run.count()
		for run.count() < before+20+rand.IntN(100) {
			time.Sleep(time.Millisecond)
		}
		server.Kill()
		server.Restart()
	}
	close(stop)
	senders.Wait()
	run.check(ctx, t, listener, first.NextBatch)
}

// send writes until it is stopped; a message without an answer is sent again under the same transaction id.
func (r *talk) send(ctx context.Context, c *mx.Client, stop chan struct{}) {
	for n := 0; ; n++ {
		text := fmt.Sprintf("%s %d", c.UserID, n)
		for {
			id, err := c.Send(ctx, r.room, fmt.Sprint(n), text)
			if err == nil {
				r.mu.Lock()
				r.acked[id] = text
				r.mu.Unlock()
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

func (r *talk) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.acked)
}

func (r *talk) check(ctx context.Context, t *testing.T, c *mx.Client, since string) {
	t.Helper()
	history, err := c.History(ctx, r.room)
	mx.Must(t, err)
	byID, byText := map[string]bool{}, map[string]string{}
	for _, e := range history {
		if byID[e.ID] {
			t.Errorf("event %s stands twice in the room", e.ID)
		}
		byID[e.ID] = true
		if e.Type != "m.room.message" {
			continue
		}
		if other, ok := byText[e.Body()]; ok {
			t.Errorf("%q was stored as %s and again as %s", e.Body(), other, e.ID)
		}
		byText[e.Body()] = e.ID
	}
	for id, text := range r.acked {
		if !byID[id] {
			t.Errorf("%s (%q) was acknowledged and is lost", id, text)
		}
	}
	got := syncAll(ctx, t, c, r.room, since)
	for id, text := range r.acked {
		if !got[id] {
			t.Errorf("%s (%q) never reached the syncing client", id, text)
		}
	}
	t.Logf("%d kills, %d messages acknowledged", kills(), len(r.acked))
}

// syncAll syncs on from a token until nothing new comes, filling gaps by /messages, and answers what it saw of a room.
func syncAll(ctx context.Context, t *testing.T, c *mx.Client, room, since string) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for {
		res, err := c.Sync(ctx, since, 0)
		mx.Must(t, err)
		part, ok := res.Rooms.Join[room]
		if !ok {
			return seen
		}
		for _, e := range part.Timeline.Events {
			seen[e.ID] = true
		}
		if part.Timeline.Limited {
			fillGap(ctx, t, c, room, part.Timeline.PrevBatch, since, seen)
		}
		since = res.NextBatch
	}
}

func fillGap(ctx context.Context, t *testing.T, c *mx.Client, room, from, to string, seen map[string]bool) {
	t.Helper()
	for from != "" {
		var page struct {
			Chunk []mx.Event `json:"chunk"`
			End   string     `json:"end"`
		}
		mx.Must(t, c.Do(ctx, "GET", fmt.Sprintf("/_matrix/client/v3/rooms/%s/messages?dir=b&limit=500&from=%s&to=%s", room, from, to), nil, &page))
		for _, e := range page.Chunk {
			if seen[e.ID] {
				t.Errorf("event %s is in the gap and in the timeline", e.ID)
			}
			seen[e.ID] = true
		}
		from = page.End
	}
}

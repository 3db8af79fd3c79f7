package prove

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// scale is how hard the attack is: the short form runs in every test run, the long one in `make prove`.
type scale struct{ slow, syncers, searchers, sends int }

func hostileScale() scale {
	if os.Getenv("REMPART_PROVE") != "" {
		return scale{slow: 1000, syncers: 500, searchers: 20, sends: 400}
	}
	return scale{slow: 100, syncers: 40, searchers: 4, sends: 10}
}

// honest is a pair of users who talk while others misbehave.
type honest struct {
	t          *testing.T
	alice, bob *mx.Client
	room       string
	since      string
	sent       int
	// pace is the least time between two messages; 0: none.
	pace time.Duration
}

func newHonest(t *testing.T, s *live.Server) *honest {
	t.Helper()
	h := &honest{t: t}
	var err error
	h.alice, err = mx.Register(t.Context(), s.URL, "alice")
	mx.Must(t, err)
	h.bob, err = mx.Register(t.Context(), s.URL, "bob")
	mx.Must(t, err)
	h.room, err = h.alice.CreateRoom(t.Context(), map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, h.bob.Join(t.Context(), h.room))
	first, err := h.bob.Sync(t.Context(), "", 0)
	mx.Must(t, err)
	h.since = first.NextBatch
	return h
}

// talk sends n messages, each of which the other must receive, and gives the 95th percentile of how long that took.
func (h *honest) talk(n int) time.Duration {
	h.t.Helper()
	took := make([]time.Duration, 0, n)
	for range n {
		if h.pace > 0 { // Why: what he may send at once is limited
			time.Sleep(h.pace)
		}
		start := time.Now()
		h.sent++
		id, err := h.alice.Send(h.t.Context(), h.room, fmt.Sprint("t", h.sent), "hello")
		mx.Must(h.t, err)
		for found := false; !found; {
			s, err := h.bob.Sync(h.t.Context(), h.since, 30*time.Second)
			mx.Must(h.t, err)
			h.since = s.NextBatch
			for _, e := range s.Rooms.Join[h.room].Timeline.Events {
				found = found || e.ID == id
			}
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[n*95/100]
}

// compare runs an attack while honest users talk. That every message arrives is asserted; how long it took is told.
// The attack says when it has begun.
func compare(t *testing.T, h *honest, n int, attack func(ctx context.Context, begun *sync.WaitGroup)) {
	t.Helper()
	before := h.talk(n)
	ctx, stop := context.WithCancel(t.Context())
	var attackers, begun sync.WaitGroup
	begun.Add(1)
	attackers.Go(func() { attack(ctx, &begun) })
	begun.Wait()
	during := h.talk(n)
	stop()
	attackers.Wait()
	t.Logf("95th percentile of send to receipt: %v alone, %v under attack (%.2f times)", before.Round(10*time.Microsecond),
		during.Round(10*time.Microsecond), float64(during)/float64(before))
}

// Readers of one byte a second hold connections, and nothing else.
func TestSlowReadersHinderNobody(t *testing.T) {
	s := live.Start(t, live.Options{})
	h := newHonest(t, s)
	size := hostileScale()
	for i := range 300 { // a history that is worth reading slowly
		_, err := h.alice.Send(t.Context(), h.room, fmt.Sprint("old", i), strings.Repeat("x", 1000))
		mx.Must(t, err)
	}
	host := strings.TrimPrefix(s.URL, "http://")
	path := "/_matrix/client/v3/rooms/" + url.PathEscape(h.room) + "/messages?dir=b&limit=300"
	compare(t, h, size.sends, func(ctx context.Context, begun *sync.WaitGroup) {
		var all, reading sync.WaitGroup
		for range size.slow {
			reading.Add(1)
			all.Go(func() { drip(ctx, host, path, h.alice.Token, sync.OnceFunc(reading.Done)) })
		}
		reading.Wait()
		begun.Done()
		all.Wait()
	})
}

// drip asks for a page and reads one byte of it a second. begun is called once the first has come.
func drip(ctx context.Context, host, path, token string, begun func()) {
	defer begun()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
	}
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, host, token)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	r := bufio.NewReaderSize(conn, 16)
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
			_ = conn.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := r.ReadByte(); err == nil {
				begun()
			} else if !os.IsTimeout(err) {
				return
			}
		}
	}
}

// After a restart everybody syncs at once; whoever has a token gets what he missed, all of it.
func TestEverybodySyncsAfterARestart(t *testing.T) {
	s := live.Start(t, live.Options{})
	h := newHonest(t, s)
	size := hostileScale()
	clients := make([]*mx.Client, size.syncers)
	tokens := make([]string, size.syncers)
	for i := range clients {
		c, err := mx.Register(t.Context(), s.URL, fmt.Sprint("syncer", i))
		mx.Must(t, err)
		mx.Must(t, c.Join(t.Context(), h.room))
		first, err := c.Sync(t.Context(), "", 0)
		mx.Must(t, err)
		clients[i], tokens[i] = c, first.NextBatch
	}
	id, err := h.alice.Send(t.Context(), h.room, "missed", "what they missed")
	mx.Must(t, err)
	s.Kill()
	s.Restart()
	start := time.Now()
	var lost atomic.Int64
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			answer, err := c.Sync(t.Context(), tokens[i], 0)
			if err != nil {
				lost.Add(1)
				return
			}
			part, seen := answer.Rooms.Join[h.room].Timeline, map[string]bool{}
			for _, e := range part.Events {
				seen[e.ID] = true
			}
			if part.Limited { // whoever is answered late finds what was said meanwhile in the way
				fillGap(t.Context(), t, c, h.room, part.PrevBatch, tokens[i], seen)
			}
			if !seen[id] {
				lost.Add(1)
			}
		})
	}
	storm := make(chan time.Duration, 1)
	go func() {
		all.Wait()
		storm <- time.Since(start)
	}()
	during := h.talk(size.sends)
	t.Logf("%d syncs after a restart answered in %v; 95th percentile of send to receipt meanwhile %v", size.syncers,
		(<-storm).Round(time.Millisecond), during.Round(10*time.Microsecond))
	if n := lost.Load(); n != 0 {
		t.Errorf("%d of %d clients did not get what they missed", n, size.syncers)
	}
}

// Searches and filters built to be slow are refused or bounded, and others do not feel them. The usual limits are on.
func TestSlowSearchesAndFiltersHinderNobody(t *testing.T) {
	s := live.Start(t, live.Options{Extra: "limits:\n  enabled: true\n"})
	h := newHonest(t, s)
	eve, err := mx.Register(t.Context(), s.URL, "eve")
	mx.Must(t, err)
	mx.Must(t, eve.Join(t.Context(), h.room))
	size := hostileScale()
	if h.pace = 20 * time.Millisecond; os.Getenv("REMPART_PROVE") != "" {
		h.pace = 250 * time.Millisecond
	}
	for i := range 40 {
		_, err := h.alice.Send(t.Context(), h.room, fmt.Sprint("old", i), strings.Repeat("word ", 60))
		mx.Must(t, err)
	}
	stars := strings.Repeat("*a", 2000)
	filter := url.QueryEscape(`{"room":{"timeline":{"limit":1000,"types":["` + stars + `"],"not_types":["` + stars + `b"]}}}`)
	search := `{"search_categories":{"room_events":{"search_term":"` + strings.Repeat("word ", 500) + `","event_context":{"before_limit":1000,"after_limit":1000,"include_profile":true},"groupings":{"group_by":[{"key":"room_id"},{"key":"sender"}]}}}`
	requests := []struct{ method, path, body string }{
		{"GET", "/_matrix/client/v3/sync?filter=" + filter, ""},
		{"GET", "/_matrix/client/v3/sync?full_state=true", ""},
		{"POST", "/_matrix/client/v3/search", search},
		{"GET", "/_matrix/client/v3/rooms/" + url.PathEscape(h.room) + "/messages?dir=b&limit=100000&filter=" + url.QueryEscape(`{"types":["`+stars+`"]}`), ""},
		{"POST", "/_matrix/client/v3/user_directory/search", `{"search_term":"` + strings.Repeat("a ", 5000) + `","limit":100000}`},
		{"GET", "/_matrix/client/v3/notifications?limit=100000", ""},
		{"POST", "/_matrix/client/v3/publicRooms", `{"filter":{"generic_search_term":"` + strings.Repeat("%", 5000) + `"},"limit":100000}`},
		{"PUT", "/_matrix/client/v3/rooms/" + url.PathEscape(h.room) + "/send/x/y", strings.Repeat(`{"a":`, 50_000) + "1" + strings.Repeat("}", 50_000)},
	}
	for _, q := range requests {
		start := time.Now()
		status := request(t.Context(), eve, q.method, q.path, q.body)
		t.Logf("%s %.50s: %d in %v", q.method, q.path, status, time.Since(start).Round(10*time.Microsecond))
	}
	var broken atomic.Int64
	h.talk(1)
	compare(t, h, min(size.sends, 100), func(ctx context.Context, begun *sync.WaitGroup) {
		begun.Done()
		var all sync.WaitGroup
		for i := range size.searchers {
			all.Go(func() {
				for n := i; ctx.Err() == nil; n++ {
					q := requests[n%len(requests)]
					status := request(ctx, eve, q.method, q.path, q.body)
					if status >= 500 {
						broken.Add(1)
						t.Errorf("%s %.60s: %d", q.method, q.path, status)
					}
				}
			})
		}
		all.Wait()
	})
}

// request gives the status of an answer, which is read to its end; 0 when there was none.
func request(ctx context.Context, c *mx.Client, method, path, body string) int {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

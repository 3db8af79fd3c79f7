package egress_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rempart/internal/egress"
	"rempart/internal/testkit/fakenet"
)

const putX = "PUT /x HTTP/1.1\r\nHost: a.org\r\nContent-Length: 2\r\n\r\n{}"

// A volley uses the connections that are kept and opens none; each that was answered serves again.
func TestVolley(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	var calls atomic.Int64
	n.Serve("9.9.9.9:443", hello(&calls), "a.org")
	judge := &moody{}
	e := n.Egress(judge, nil)
	pools := []string{"a.org:0", "a.org:1"}
	for _, pool := range pools {
		if err := e.Ready(toA(t), pool); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		v := e.Volley(t.Context(), time.Minute)
		var posted []*egress.Posted
		for _, pool := range append(pools, "a.org:2") {
			posted = append(posted, v.Post(pool, []byte(putX)))
		}
		if v.Post("a.org:0", []byte(putX)) != nil || posted[2] != nil {
			t.Error("posted on a connection that nobody keeps")
		}
		v.Done()
		for _, p := range posted[:2] {
			if a, err := p.Answer(50); err != nil || a.Status != http.StatusOK || len(a.Body) == 0 {
				t.Fatalf("%+v %v", a, err)
			}
		}
	}
	v := e.Volley(t.Context(), time.Minute)
	defer v.Done()
	if v.Post("a.org:0", []byte(putX+strings.Repeat(" ", 1<<20))) != nil || !e.Kept("a.org:0") {
		t.Error("what is so large waits for the other side")
	}
	judge.refuses.Store(true)
	if v.Post("a.org:0", []byte(putX)) != nil || e.Kept("a.org:0") {
		t.Error("who is refused was written to")
	}
	if calls.Load() != 4 || len(n.Dialled()) != 2 {
		t.Errorf("%d requests on %d connections", calls.Load(), len(n.Dialled()))
	}
}

// Who ends the connection instead of answering may be asked again; when the context ends nobody waits any longer.
func TestVolleyWithoutAnAnswer(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	asked, silent := make(chan struct{}, 2), atomic.Bool{}
	n.Serve("9.9.9.9:443", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if asked <- struct{}{}; silent.Load() {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}), "a.org")
	e := n.Egress(&moody{}, nil)
	post := func(ctx context.Context, within time.Duration) *egress.Posted {
		t.Helper()
		if err := e.Ready(toA(t), "a.org:0"); err != nil {
			t.Fatal(err)
		}
		v := e.Volley(ctx, within)
		defer v.Done()
		p := v.Post("a.org:0", []byte(putX))
		if p == nil {
			t.Fatal("not posted")
		}
		<-asked
		return p
	}
	if _, err := post(t.Context(), time.Minute).Answer(50); !errors.Is(err, egress.ErrNoWord) {
		t.Error(err)
	}
	silent.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	p := post(ctx, time.Minute)
	cancel()
	if _, err := p.Answer(50); !errors.Is(err, context.Canceled) || e.Kept("a.org:0") {
		t.Error(err)
	}
	if _, err := post(t.Context(), 5*time.Second).Answer(50); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

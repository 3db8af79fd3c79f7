package egress_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"rempart/internal/egress"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/mx"
)

// exchange makes one request to a.org and gives the answer's status and body.
func exchange(t *testing.T, e *egress.Egress, limit int64) (int, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(toA(t), mx.Patience)
	defer cancel()
	a, err := e.Exchange(ctx, "a.org:0", func() ([]byte, error) {
		return []byte("PUT /x HTTP/1.1\r\nHost: a.org\r\nContent-Length: 2\r\n\r\n{}"), nil
	}, limit)
	return a.Status, string(a.Body), err
}

func toA(t *testing.T) context.Context {
	return egress.To(t.Context(), egress.Target{Server: "a.org", Endpoints: []egress.Endpoint{{Host: "a.org", Port: 443}}, TLSName: "a.org"})
}

// What is opened ahead serves the next exchange, and is opened once.
func TestReady(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	var calls atomic.Int64
	n.Serve("9.9.9.9:443", hello(&calls), "a.org")
	judge := &moody{}
	e := n.Egress(judge, nil)
	for range 2 {
		if err := e.Ready(toA(t), "a.org:0"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := exchange(t, e, 50); err != nil || len(n.Dialled()) != 1 {
		t.Errorf("%v, dialled %d times", err, len(n.Dialled()))
	}
	judge.refuses.Store(true)
	if err := e.Ready(toA(t), "a.org:1"); err == nil || len(n.Dialled()) != 1 {
		t.Errorf("%v, dialled %d times, though it is refused", err, len(n.Dialled()))
	}
}

func TestExchange(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	var how atomic.Value
	how.Store("")
	n.Serve("9.9.9.9:443", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch how.Load() {
		case "interim":
			w.WriteHeader(http.StatusEarlyHints)
		case "close":
			w.Header().Set("Connection", "close")
		case "chunks":
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
		case "large":
			_, _ = io.WriteString(w, strings.Repeat("x", 100))
		case "cut":
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, r.Method+string(body))
	}), "a.org")
	e := n.Egress(&moody{}, nil)
	dials := 0
	for _, c := range []struct {
		how, want string
		dials     int // so many in all when it is over
	}{
		{"", "PUT{}", 1}, {"", "PUT{}", 1}, {"chunks", "aPUT{}", 1}, {"interim", "PUT{}", 1}, {"close", "PUT{}", 1}, {"", "PUT{}", 2},
		{"large", "", 2}, {"", "PUT{}", 3}, {"cut", "", 4}, {"", "PUT{}", 5},
	} {
		how.Store(c.how)
		status, body, err := exchange(t, e, 50)
		if (err == nil) != (c.want != "") || body != c.want || err == nil && status != http.StatusOK {
			t.Fatalf("%q: %d %q %v", c.how, status, body, err)
		}
		if dials = len(n.Dialled()); dials != c.dials {
			t.Fatalf("%q: dialled %d times, want %d", c.how, dials, c.dials)
		}
	}
	e.Renew(t.Context())
	if _, _, err := exchange(t, e, 50); err != nil || len(n.Dialled()) != dials+1 {
		t.Errorf("%v, dialled %d times: a kept connection of before was used", err, len(n.Dialled())-dials)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// Who is refused is not written to, though a connection was kept.
func TestExchangeIsJudged(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	var calls atomic.Int64
	n.Serve("9.9.9.9:443", hello(&calls), "a.org")
	judge := &moody{}
	e := n.Egress(judge, nil)
	if _, _, err := exchange(t, e, 50); err != nil {
		t.Fatal(err)
	}
	judge.refuses.Store(true)
	if _, _, err := exchange(t, e, 50); err == nil || calls.Load() != 1 {
		t.Errorf("%v, %d requests", err, calls.Load())
	}
}

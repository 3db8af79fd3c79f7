package egress_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rempart/internal/testkit/fakenet"
)

// What a server says beside its answer has bounds too: heads, interim answers, and a length that it only claims.
func TestExchangeHasBounds(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	var how atomic.Value
	how.Store("")
	n.Serve("9.9.9.9:443", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch how.Load() {
		case "head":
			w.Header().Set("X-Long", strings.Repeat("x", 80<<10))
		case "many heads":
			for i := range 2000 {
				w.Header().Add("X-Long", strings.Repeat("x", 40+i%2))
			}
		case "interim":
			for range 20 {
				w.WriteHeader(http.StatusEarlyHints)
			}
		case "chunks":
			for range 100 {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
			}
		}
		_, _ = io.WriteString(w, "ok")
	}), "a.org")
	e := n.Egress(&moody{}, nil)
	for _, c := range []struct {
		how  string
		want string
	}{{"", "ok"}, {"head", ""}, {"many heads", ""}, {"interim", ""}, {"chunks", ""}, {"", "ok"}} {
		how.Store(c.how)
		if _, body, err := exchange(t, e, 50); (err == nil) != (c.want != "") || body != c.want {
			t.Errorf("%q: %.20q %v", c.how, body, err)
		}
	}
}

// A connection on which more was said than was asked for serves no further exchange: who knows whose answer comes next.
func TestWhoSaysTooMuchIsNotAskedAgain(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	n.Serve("9.9.9.9:443", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		const one, two = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"
		_, _ = rw.WriteString(one + two)
		_ = rw.Flush()
		if _, err := http.ReadRequest(rw.Reader); err == nil {
			_, _ = rw.WriteString(two)
			_ = rw.Flush()
		}
	}), "a.org")
	e := n.Egress(&moody{}, nil)
	for i := range 2 {
		if _, body, err := exchange(t, e, 50); err != nil || body != "one" || len(n.Dialled()) != i+1 {
			t.Errorf("%q %v, dialled %d times", body, err, len(n.Dialled()))
		}
	}
}

// A connection that was in use when the judge changed its mind serves no further exchange, and of two that come back one is closed.
func TestWhichConnectionsAreKept(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	asked, answer := make(chan struct{}), make(chan struct{})
	n.Serve("9.9.9.9:443", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		_, _ = io.WriteString(w, "ok")
	}), "a.org")
	l := &ledger{}
	e := n.Egress(&moody{}, l)
	atOnce := func(count int, meanwhile func()) {
		var wg sync.WaitGroup
		for range count {
			wg.Go(func() {
				if _, body, err := exchange(t, e, 50); err != nil || body != "ok" {
					t.Errorf("%q %v", body, err)
				}
			})
			<-asked
		}
		meanwhile()
		for range count {
			answer <- struct{}{}
		}
		wg.Wait()
	}
	closed := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.ended)
	}
	atOnce(2, func() {})
	if len(n.Dialled()) != 2 || closed() != 1 {
		t.Errorf("dialled %d times, %d closed", len(n.Dialled()), closed())
	}
	atOnce(1, func() { e.Renew(t.Context()) })
	if closed() != 2 {
		t.Errorf("what was in use when the judge changed its mind is kept: %d closed", closed())
	}
	atOnce(1, func() {})
	if len(n.Dialled()) != 3 {
		t.Errorf("dialled %d times", len(n.Dialled()))
	}
}

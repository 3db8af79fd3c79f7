package egress_test

import (
	"io"
	"net/http"
	"strings"
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

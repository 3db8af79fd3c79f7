package fakenet

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// Gate stands before a server, at the address by which others know it, and reads what is asked: it hands joins on, and loses the answers to
// some, all or half of each. It may be used concurrently.
type Gate struct {
	server *httptest.Server
	target atomic.Pointer[url.URL]
	lose   atomic.Int64
	lost   atomic.Int64
}

// NewGate opens a gate that leads nowhere yet, and ends with the test.
func NewGate(t testing.TB, ca *CA) *Gate {
	t.Helper()
	g := &Gate{}
	onward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(g.target.Load()) },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}, //nolint:gosec // its least version is the library's
	}
	g.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/send_join/") || g.lose.Add(-1) < 0 {
			onward.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		onward.ServeHTTP(answer, r)
		if g.lost.Add(1)%2 == 0 {
			body := answer.Body.Bytes()
			_, _ = w.Write(body[:len(body)/2])
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	}))
	g.server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1")}} //nolint:gosec // as above
	g.server.StartTLS()
	t.Cleanup(g.server.Close)
	return g
}

// To sets where the gate leads and gives its name.
func (g *Gate) To(target string) string {
	g.target.Store(&url.URL{Scheme: "https", Host: target})
	return g.server.Listener.Addr().String()
}

// Lose sets of how many joins the answers are lost from now on.
func (g *Gate) Lose(count int64) { g.lose.Store(count) }

// Lost counts the answers that were lost.
func (g *Gate) Lost() int64 { return g.lost.Load() }

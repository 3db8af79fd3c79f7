package federation

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// gate stands before a server and reads what is asked: it hands joins on, and loses the answers to some, all or half of each.
type gate struct {
	*httptest.Server
	target atomic.Pointer[url.URL]
	lose   atomic.Int64
	lost   atomic.Int64
}

// newGate opens a gate that leads nowhere yet.
func newGate(t *testing.T, ca *fakenet.CA) *gate {
	t.Helper()
	g := &gate{}
	onward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(g.target.Load()) },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}, //nolint:gosec // its least version is the library's
	}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	g.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1")}} //nolint:gosec // as above
	g.StartTLS()
	t.Cleanup(g.Close)
	return g
}

// to sets where the gate leads and gives its name.
func (g *gate) to(target string) string {
	g.target.Store(&url.URL{Scheme: "https", Host: target})
	return g.Listener.Addr().String()
}

// gated are alice's server behind a gate and bob's, and a room of alice's.
func gated(t *testing.T) (g *gate, b *live.Server, alice, bob *mx.Client, hall, via string) {
	t.Helper()
	ca := fakenet.NewCA(t)
	g = newGate(t, ca)
	a := live.Start(t, live.Options{CA: ca, Relay: g.to})
	b = live.Start(t, live.Options{CA: ca})
	alice, err := mx.Register(t.Context(), a.URL, "alice")
	mx.Must(t, err)
	bob, err = mx.Register(t.Context(), b.URL, "bob")
	mx.Must(t, err)
	hall, err = alice.CreateRoom(t.Context(), map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	return g, b, alice, bob, hall, a.Name
}

// A join whose answer is lost, or breaks off, is finished: while its user waits or, where that does not help, later and over a restart.
func TestAJoinWhoseAnswerIsLostIsFinished(t *testing.T) {
	g, b, alice, bob, hall, via := gated(t)
	ctx := t.Context()
	g.lose.Store(2)
	mx.Must(t, joinVia(ctx, bob, hall, via))
	if g.lost.Load() != 2 {
		t.Errorf("%d answers were lost", g.lost.Load())
	}
	said, err := bob.Send(ctx, hall, "1", "here I am")
	mx.Must(t, err)
	waitFor(t, alice, hall, said, "here I am")

	second, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	g.lose.Store(1 << 40)
	unheard(t, joinVia(ctx, bob, second, via))
	waitFor(t, alice, second, bob.UserID, `"membership":"join"`)
	said, err = alice.Send(ctx, second, "2", "we see you")
	mx.Must(t, err)
	b.Stop()
	g.lose.Store(0)
	b.Restart()
	waitFor(t, bob, second, said, "we see you")
}

// Who tried to join, was given no answer and gives up is out of the room for the others too.
func TestAJoinWhoseAnswerIsLostIsGivenUp(t *testing.T) {
	g, _, alice, bob, hall, via := gated(t)
	g.lose.Store(1 << 40)
	unheard(t, joinVia(t.Context(), bob, hall, via))
	waitFor(t, alice, hall, bob.UserID, `"membership":"join"`)
	mx.Must(t, bob.Do(t.Context(), "POST", room(hall)+"/leave", map[string]string{}, nil))
	waitFor(t, alice, hall, bob.UserID, `"membership":"leave"`)
}

// unheard fails unless somebody was told that no server answered.
func unheard(t *testing.T, err error) {
	t.Helper()
	var e *mx.Error
	if !errors.As(err, &e) || e.Status != http.StatusBadGateway {
		t.Fatalf("to join where no answer comes: %v", err)
	}
}

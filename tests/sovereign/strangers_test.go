package sovereign

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"rempart/internal/matrix"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// stranger starts a real server abroad that would speak with anybody; whatever reaches it is counted.
func (l *lab) stranger(name, at string) *town {
	l.t.Helper()
	dir := l.t.TempDir()
	mx.Must(l.t, os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(anywhere), 0o600))
	w := &town{l: l, relay: &relay{}}
	w.Server = live.Start(l.t, live.Options{
		Name: name, At: at, CA: l.ca, Dir: dir, Relay: newRelay(l.t, w.relay),
		Extra: fmt.Sprintf("federation:\n  ca: ca.pem\n  source: %s\npolicy:\n  file: policy.yaml\n  resolvers: [%q]\n", at, l.names.Addr),
	})
	where := netip.MustParseAddrPort(w.Federation)
	l.host("matrix."+name, where.Addr().String())
	l.service(name, "matrix."+name, where.Port())
	w.people()
	return w
}

// gateway is a push gateway in France.
type gateway struct {
	url  string
	mu   sync.Mutex
	last string
}

func (l *lab) gateway(name, at string) *gateway {
	l.t.Helper()
	g := &gateway{}
	listener, err := listen(at + ":0")
	mx.Must(l.t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		g.last += string(raw)
		g.mu.Unlock()
		_, _ = w.Write([]byte(`{"rejected":[]}`))
	}))
	_ = s.Listener.Close()
	s.Listener = listener
	s.TLS = l.tlsFor(name)
	s.StartTLS()
	l.t.Cleanup(s.Close)
	l.host(name, at)
	g.url = fmt.Sprintf("https://%s:%d/_matrix/push/v1/notify", name, netip.MustParseAddrPort(listener.Addr().String()).Port())
	return g
}

// told is all that the gateway was told.
func (g *gateway) told() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// log is what was asked so far.
func (p *peer) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func matrixRoom(id string) matrix.RoomID { return matrix.RoomID(id) }

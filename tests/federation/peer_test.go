package federation

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"rempart/federation/client"
	"rempart/federation/keys"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
)

// peer is a server of the test's own: a key that it publishes, and requests in its name.
type peer struct {
	*client.Client
	name matrix.ServerName
	key  matrix.SigningKey

	mu       sync.Mutex
	keyCalls int
}

// newPeer starts a server that answers for its keys and passes all else to other, which may be nil.
func newPeer(t *testing.T, ca *fakenet.CA, other http.Handler) *peer {
	p := &peer{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/_matrix/key/v2/server" {
			p.publish(w)
			return
		}
		if other == nil {
			http.NotFound(w, r)
			return
		}
		other.ServeHTTP(w, r)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1")}}
	s.StartTLS()
	t.Cleanup(s.Close)
	p.name = matrix.ServerName(s.Listener.Addr().String())
	var err error
	if p.key, err = matrix.GenerateSigningKey(p.name); err != nil {
		t.Fatal(err)
	}
	e := egress.New(egress.Options{Judge: egress.AllowNames([]string{"*"}, true), RootCAs: ca.Pool()})
	t.Cleanup(func() { _ = e.Close() })
	p.Client = client.New(client.Options{Egress: e, Keys: p, Agent: "peer"})
	return p
}

func (p *peer) publish(w http.ResponseWriter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keyCalls++
	own := keys.New(keys.Options{Own: map[matrix.ServerName][]matrix.SigningKey{p.name: {p.key}}})
	raw, err := own.Publish(p.name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(raw)
}

func (p *peer) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keyCalls
}

// SigningKey implements client.Keys. It signs for any name, as a liar would.
func (p *peer) SigningKey(name matrix.ServerName) (matrix.SigningKey, bool) {
	k := p.key
	k.ServerName = name
	return k, true
}

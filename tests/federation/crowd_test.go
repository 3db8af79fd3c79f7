package federation

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"rempart/federation/keys"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/ports"
)

// crowd is many servers that this test plays, each at a loopback address of its own port.
type crowd struct {
	servers []*crowdServer
	byName  map[matrix.ServerName]*crowdServer
}

// crowdServer is one of them. How it behaves is set before others hear of it.
type crowdServer struct {
	name matrix.ServerName
	key  matrix.SigningKey
	http *httptest.Server
	// told, if set, is called with the events of each transaction, once, though its answer may be lost on the way and it come again.
	// It is called concurrently.
	told func(s *crowdServer, pdus []json.RawMessage)

	mu       sync.Mutex
	requests int
	taken    map[string]bool // transactions, by their paths
	open     map[net.Conn]struct{}
	most     int // connections at once
}

func newCrowd(t *testing.T, ca *fakenet.CA, n int, told func(*crowdServer, []json.RawMessage)) *crowd {
	t.Helper()
	c, certificate := &crowd{byName: map[matrix.ServerName]*crowdServer{}}, ca.Issue("127.0.0.1")
	for range n {
		s := &crowdServer{told: told, open: map[net.Conn]struct{}{}, taken: map[string]bool{}, name: matrix.ServerName(ports.Hold(t, ""))}
		s.start(t, certificate)
		var err error
		if s.key, err = matrix.GenerateSigningKey(s.name); err != nil {
			t.Fatal(err)
		}
		c.servers = append(c.servers, s)
		c.byName[s.name] = s
	}
	return c
}

// start has a server be there.
func (s *crowdServer) start(t *testing.T, certificate tls.Certificate) {
	t.Helper()
	s.http = httptest.NewUnstartedServer(s)
	_ = s.http.Listener.Close()
	var err error
	if s.http.Listener, err = net.Listen("tcp", string(s.name)); err != nil {
		t.Fatal(err)
	}
	s.http.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.http.EnableHTTP2 = true
	s.http.Config.ConnState = s.count
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // Why: who only looks whether it is there makes no handshake
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
}

// rise has a server that died, not silently, be there again.
func (s *crowdServer) rise(t *testing.T, ca *fakenet.CA) {
	t.Helper()
	s.start(t, ca.Issue("127.0.0.1"))
}

// SigningKey finds the key of one of the servers.
func (c *crowd) SigningKey(name matrix.ServerName) (matrix.SigningKey, bool) {
	if s := c.byName[name]; s != nil {
		return s.key, true
	}
	return matrix.SigningKey{}, false
}

// count counts connections.
func (s *crowdServer) count(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.open[conn] = struct{}{}
		s.most = max(s.most, len(s.open))
	case http.StateClosed, http.StateHijacked:
		delete(s.open, conn)
	}
}

// ServeHTTP answers for the server's keys, takes transactions and knows nothing else.
func (s *crowdServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	switch {
	case r.URL.Path == "/_matrix/key/v2/server":
		own := keys.New(keys.Options{Own: map[matrix.ServerName][]matrix.SigningKey{s.name: {s.key}}})
		raw, err := own.Publish(s.name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(raw)
	case strings.HasPrefix(r.URL.Path, "/_matrix/federation/v1/send/"):
		var txn struct {
			PDUs []json.RawMessage `json:"pdus"`
		}
		if err := json.NewDecoder(r.Body).Decode(&txn); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		again := s.taken[r.URL.Path]
		s.taken[r.URL.Path] = true
		s.mu.Unlock()
		if s.told != nil && !again {
			s.told(s, txn.PDUs)
		}
		_, _ = w.Write([]byte(`{"pdus":{}}`))
	default:
		http.NotFound(w, r)
	}
}

// die ends a server; silently, it takes connections and says nothing, otherwise it refuses them.
func (s *crowdServer) die(t *testing.T, silently bool) {
	t.Helper()
	s.http.Close()
	if !silently {
		return
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", string(s.name))
	if err != nil {
		t.Fatal(err)
	}
	hole := &hole{Listener: l}
	done := make(chan struct{})
	go func() { defer close(done); hole.swallow() }()
	t.Cleanup(func() { hole.end(); <-done })
}

// hole takes connections and never says anything.
type hole struct {
	net.Listener
	mu    sync.Mutex
	taken []net.Conn
}

func (h *hole) swallow() {
	for {
		conn, err := h.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		h.taken = append(h.taken, conn)
		h.mu.Unlock()
	}
}

func (h *hole) end() {
	_ = h.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, conn := range h.taken {
		_ = conn.Close()
	}
}

// member is a user of a server.
func (s *crowdServer) member(n int) matrix.UserID {
	return matrix.UserID(fmt.Sprintf("@member%d:%s", n, s.name))
}

// patience bounds how long a test waits for something that comes by itself.
const patience = mx.Patience

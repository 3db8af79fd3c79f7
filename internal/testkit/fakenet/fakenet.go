// Package fakenet is a small internet within a test: names, service records, and TLS servers at any address and port,
// all of it on loopback. What is under test goes out by an egress.Egress whose resolver and network are these.
package fakenet

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"rempart/internal/egress"
)

// Net is the internet of one test. It may be used concurrently.
type Net struct {
	CA *CA

	t       testing.TB
	mu      sync.Mutex
	hosts   map[string][]netip.Addr
	records map[string][]*net.SRV
	servers map[string]string // address → where it really listens
	asked   []string
	dialled []string
}

// New makes an internet without hosts.
func New(t testing.TB) *Net {
	return &Net{CA: NewCA(t), t: t, hosts: map[string][]netip.Addr{}, records: map[string][]*net.SRV{}, servers: map[string]string{}}
}

// Host gives a name addresses.
func (n *Net) Host(name string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range addrs {
		n.hosts[name] = append(n.hosts[name], netip.MustParseAddr(a))
	}
}

// Service adds a service record, such as "_matrix-fed._tcp.example.org".
func (n *Net) Service(name, target string, port uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records[name] = append(n.records[name], &net.SRV{Target: target, Port: port})
}

// Serve runs an HTTPS server at an address like "9.9.9.9:443" with a certificate for names, until the test ends.
func (n *Net) Serve(address string, h http.Handler, names ...string) {
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{n.CA.Issue(names...)}}
	s.StartTLS()
	n.t.Cleanup(s.Close)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[address] = s.Listener.Addr().String()
}

// Egress makes a way out into this internet.
func (n *Net) Egress(judge egress.Judge, recorder egress.Recorder) *egress.Egress {
	e := egress.New(egress.Options{Judge: judge, Recorder: recorder, Resolver: n, RootCAs: n.CA.Pool(), Connect: n.connect})
	n.t.Cleanup(func() { _ = e.Close() })
	return e
}

func (n *Net) connect(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, address)
	to, ok := n.servers[address]
	n.mu.Unlock()
	if !ok {
		return nil, errors.New("connection refused: " + address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, to)
}

// LookupNetIP implements egress.Resolver.
func (n *Net) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, host)
	if a := n.hosts[host]; a != nil {
		return a, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// LookupSRV implements egress.Resolver.
func (n *Net) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	full := "_" + service + "._" + proto + "." + name
	n.asked = append(n.asked, full)
	if r := n.records[full]; r != nil {
		return full, r, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: full, IsNotFound: true}
}

// Asked lists the names that were looked up so far.
func (n *Net) Asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.asked...)
}

// Dialled lists the addresses that were dialled so far.
func (n *Net) Dialled() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.dialled...)
}

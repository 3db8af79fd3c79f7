package egress_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/mx"
)

func TestAllowNames(t *testing.T) {
	all, some, none := []string{"*"}, []string{"a.org", "B.org:8448"}, []string(nil)
	for _, c := range []struct {
		names   []string
		private bool
		server  matrix.ServerName
		addr    string
		ok      bool
	}{
		{none, true, "a.org", "", false},
		{none, true, "", "", false},
		{some, false, "a.org", "", true},
		{some, false, "A.ORG", "", true},
		{some, false, "b.org:8448", "", true},
		{some, false, "b.org", "", false},
		{some, false, "x.a.org", "", false},
		{all, false, "c.org", "9.9.9.9:1", true},
		{all, false, "c.org", "[2606:4700::1]:1", true},
		{all, false, "c.org", "127.0.0.1:1", false},
		{all, true, "c.org", "127.0.0.1:1", true},
		{all, false, "c.org", "10.1.2.3:1", false},
		{all, false, "c.org", "172.16.0.1:1", false},
		{all, false, "c.org", "192.168.0.1:1", false},
		{all, false, "c.org", "169.254.169.254:1", false},
		{all, false, "c.org", "100.64.0.1:1", false},
		{all, false, "c.org", "0.0.0.0:1", false},
		{all, false, "c.org", "224.0.0.1:1", false},
		{all, false, "c.org", "255.255.255.255:1", false},
		{all, false, "c.org", "[::1]:1", false},
		{all, false, "c.org", "[::ffff:127.0.0.1]:1", false},
		{all, false, "c.org", "[64:ff9b::7f00:1]:1", false},
		{all, false, "c.org", "[2002:7f00:1::]:1", false},
		{all, false, "c.org", "[fe80::1]:1", false},
		{all, false, "c.org", "[fd00::1]:1", false},
	} {
		i := egress.Intent{Kind: egress.Federation, Server: c.server}
		if c.addr != "" {
			i.Addr = netip.MustParseAddrPort(c.addr)
		}
		err := egress.AllowNames(c.names, c.private).Admit(t.Context(), i)
		if (err == nil) != c.ok {
			t.Errorf("%v, private %v: %s at %s: %v", c.names, c.private, c.server, c.addr, err)
		}
	}
}

// hello answers every request and counts them.
func hello(n *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		_, _ = io.WriteString(w, "hello")
	})
}

func fetch(ctx context.Context, c *http.Client, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, errors.Join(err, res.Body.Close())
}

func TestNamesThatAreRefusedAreNotLookedUp(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	e := n.Egress(egress.AllowNames([]string{"b.org"}, true), nil)
	if _, err := fetch(t.Context(), e.HTTP(egress.Push), "https://a.org/"); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("not refused: %v", err)
	}
	if _, err := e.Dial(t.Context(), egress.Mail, "tcp", "a.org:25"); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("not refused: %v", err)
	}
	if len(n.Asked())+len(n.Dialled()) > 0 {
		t.Errorf("asked %v, dialled %v", n.Asked(), n.Dialled())
	}
}

func TestTheVerdictIsOnTheAddressDialled(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "10.0.0.1", "9.9.9.9") // the first must be passed over
	n.Host("rebound.org", "127.0.0.1")
	var calls atomic.Int64
	for _, address := range []string{"10.0.0.1:443", "127.0.0.1:443", "9.9.9.9:443"} {
		n.Serve(address, hello(&calls), "a.org", "rebound.org")
	}
	e := n.Egress(egress.AllowNames([]string{"*"}, false), nil)
	if status, err := fetch(t.Context(), e.HTTP(egress.Push), "https://a.org/"); status != 200 {
		t.Error(err)
	}
	if _, err := fetch(t.Context(), e.HTTP(egress.Push), "https://rebound.org/"); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("not refused: %v", err)
	}
	if d := n.Dialled(); len(d) != 1 || d[0] != "9.9.9.9:443" || calls.Load() != 1 {
		t.Errorf("dialled %v", d)
	}
}

// kept asks a.org until a connection has served twice.
// Why not two requests: net/http keeps none whose writer has not been seen to end within 50 ms of the answer.
func kept(t *testing.T, n *fakenet.Net, e *egress.Egress) {
	t.Helper()
	end := time.Now().Add(mx.Patience)
	for before := -1; before != len(n.Dialled()); {
		if time.Now().After(end) {
			t.Fatalf("no connection is kept: %d were opened", len(n.Dialled()))
		}
		before = len(n.Dialled())
		if _, err := fetch(t.Context(), e.HTTP(egress.Push), "https://a.org/"); err != nil {
			t.Fatal(err)
		}
	}
}

// moody is a judge that changes its mind.
type moody struct{ refuses atomic.Bool }

func (m *moody) Admit(context.Context, egress.Intent) error {
	if m.refuses.Load() {
		return egress.Refused("no more")
	}
	return nil
}

func TestKeptConnectionsAreJudgedAgain(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	var calls atomic.Int64
	n.Serve("9.9.9.9:443", hello(&calls), "a.org")
	judge := &moody{}
	e := n.Egress(judge, nil)
	kept(t, n, e)
	judge.refuses.Store(true)
	before := calls.Load()
	if _, err := fetch(t.Context(), e.HTTP(egress.Push), "https://a.org/"); err == nil || calls.Load() != before {
		t.Errorf("a request left on a connection that is refused now: %v, %d calls", err, calls.Load()-before)
	}
}

// ledger records connections.
type ledger struct {
	mu      sync.Mutex
	refuses bool
	begun   []egress.Intent
	ended   []egress.Outcome
}

func (l *ledger) Begin(_ context.Context, i egress.Intent) (egress.Permit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuses {
		return nil, errors.New("the disk is full")
	}
	l.begun = append(l.begun, i)
	return l, nil
}

func (l *ledger) End(o egress.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, o)
}

// outcomes are those of the connections that ended.
func (l *ledger) outcomes() []egress.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ended)
}

// shownKey is the digest of the key in the certificate that a server shows.
func shownKey(t *testing.T, e *egress.Egress, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := e.HTTP(egress.Push).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	public, err := x509.MarshalPKIXPublicKey(res.TLS.PeerCertificates[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(public)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestEveryConnectionIsRecorded(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.8", "9.9.9.9") // nobody is at the first
	var calls atomic.Int64
	n.Serve("9.9.9.9:443", hello(&calls), "a.org")
	l := &ledger{}
	e := n.Egress(&moody{}, l)
	key := shownKey(t, e, "https://a.org/")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	if len(l.begun) != 2 || l.begun[1].Addr.String() != "9.9.9.9:443" || l.begun[1].Host != "a.org" {
		t.Errorf("begun: %v", l.begun)
	}
	if len(l.ended) != 2 || l.ended[0].Err == nil || l.ended[1].Err != nil || l.ended[1].Sent == 0 || l.ended[1].Received == 0 || l.ended[1].SPKI != key || l.ended[0].SPKI != "" {
		t.Errorf("ended: %v", l.ended)
	}
	l.refuses = true
	l.mu.Unlock()
	if _, err := fetch(t.Context(), e.HTTP(egress.Push), "https://a.org/"); err == nil || calls.Load() != 1 {
		t.Errorf("what cannot be recorded has left: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	n.Host("b.org", "9.9.9.10")
	var calls atomic.Int64
	n.Serve("9.9.9.10:443", hello(&calls), "b.org")
	n.Serve("9.9.9.9:443", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/b": "https://b.org/", "/plain": "http://b.org/", "/loop": "/loop", "/refused": "https://c.org/"}
		http.Redirect(w, r, to[r.URL.Path], http.StatusFound)
	}), "a.org")
	e := n.Egress(egress.AllowNames([]string{"a.org", "b.org"}, false), nil)
	for _, c := range []struct {
		kind   egress.Kind
		path   string
		status int
	}{
		{egress.Federation, "/b", 302}, {egress.Push, "/b", 302}, {egress.WellKnown, "/b", 200},
		{egress.WellKnown, "/plain", 0}, {egress.WellKnown, "/loop", 0}, {egress.WellKnown, "/refused", 0},
	} {
		status, err := fetch(t.Context(), e.HTTP(c.kind), "https://a.org"+c.path)
		if status != c.status {
			t.Errorf("%s %s: %d %v", c.kind, c.path, status, err)
		}
	}
}

func TestCertificatesAndProxies(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://9.9.9.1:3128")
	n := fakenet.New(t)
	n.Host("a.org", "9.9.9.9")
	n.Host("b.org", "9.9.9.9")
	var calls atomic.Int64
	n.Serve("9.9.9.9:443", hello(&calls), "a.org", "9.9.9.9")
	e := n.Egress(&moody{}, nil)
	for url, ok := range map[string]bool{"https://a.org/": true, "https://9.9.9.9/": true, "https://b.org/": false} {
		if _, err := fetch(t.Context(), e.HTTP(egress.Push), url); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, address := range n.Dialled() {
		if address != "9.9.9.9:443" {
			t.Errorf("dialled %s", address)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/config"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/policy"
)

// TestEveryKindOfConnectionHasAPoint keeps a new kind of connection from being forgotten: each constant of type egress.Kind is in
// egress.Kinds, has a decision point of the registry, and stands in the policy of the short settings.
func TestEveryKindOfConnectionHasAPoint(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "../../internal/egress/egress.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Kind" {
				declared++
			}
		}
		return true
	})
	if kinds := egress.Kinds(); declared < 9 || declared != len(kinds) {
		t.Errorf("%d kinds are declared, %d are in Kinds()", declared, len(kinds))
	}
	registry := map[policy.Point]bool{}
	for _, p := range policy.Points() {
		registry[p.Point] = true
	}
	taken := map[policy.Point]egress.Kind{}
	for _, kind := range egress.Kinds() {
		point := pointOf(kind)
		if !registry[point] || taken[point] != "" {
			t.Errorf("%s: its point %q is not in the registry, or that of %s too", kind, point, taken[point])
		}
		taken[point] = kind
	}
	closed := judgeOf(t, policy.Simple{})
	for _, kind := range append(egress.Kinds(), "invented") {
		for _, i := range []egress.Intent{{Kind: kind, Host: "a.org"}, {Kind: kind, Server: "a.org", Host: "9.9.9.9", Addr: netip.MustParseAddrPort("9.9.9.9:443")}} {
			if err := closed.Admit(t.Context(), i); !matrix.HasCode(err, matrix.CodeForbidden) {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

func judgeOf(t testing.TB, s policy.Simple) *judge {
	t.Helper()
	g, err := policy.CompileSimple(s)
	if err != nil {
		t.Fatal(err)
	}
	return &judge{policy: policy.NewJudge(g), log: slog.New(slog.DiscardHandler), endpoints: map[egress.Kind][]string{}}
}

func TestConfiguredEndpoints(t *testing.T) {
	j := judgeOf(t, policy.Simple{})
	j.endpoints = map[egress.Kind][]string{
		egress.Mail: {"mail.example.org:587"}, egress.Store: storeEndpoints("postgres://u@db.example.org/x"), egress.Scan: {"/run/clamd.sock"},
	}
	for _, c := range []struct {
		i  egress.Intent
		ok bool
	}{
		{egress.Intent{Kind: egress.Mail, Host: "Mail.example.org"}, true},
		{egress.Intent{Kind: egress.Mail, Host: "mail.example.org", Addr: netip.MustParseAddrPort("10.0.0.1:587")}, true},
		{egress.Intent{Kind: egress.Mail, Host: "mail.example.org", Addr: netip.MustParseAddrPort("10.0.0.1:25")}, false},
		{egress.Intent{Kind: egress.Mail, Host: "other.example.org"}, false},
		{egress.Intent{Kind: egress.Mail, Host: "mail.example.org", Addr: netip.MustParseAddrPort("169.254.169.254:587")}, false},
		{egress.Intent{Kind: egress.Store, Host: "db.example.org", Addr: netip.MustParseAddrPort("10.0.0.2:5432")}, true},
		{egress.Intent{Kind: egress.Store, Host: "mail.example.org", Addr: netip.MustParseAddrPort("10.0.0.2:587")}, false},
		{egress.Intent{Kind: egress.Scan, Host: "/run/clamd.sock", Socket: true}, true},
		{egress.Intent{Kind: egress.Scan, Host: "/run/other.sock", Socket: true}, false},
	} {
		if err := j.Admit(t.Context(), c.i); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.i, err)
		}
	}
	if got := storeEndpoints("postgres:///x?host=/run/pg&port=5433"); len(got) != 1 || got[0] != "/run/pg/.s.PGSQL.5433" {
		t.Error(got)
	}
}

// wire is a network of two servers, which notes what is written to one that must get nothing.
type wire struct {
	servers  [2]*httptest.Server
	admitted atomic.Int64 // which of them is, from the end of a change to the begin of the next; else 0
	wrong    atomic.Int64
}

// LookupNetIP implements egress.Resolver.
func (w *wire) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return []netip.Addr{netip.AddrFrom4([4]byte{9, 9, 9, host[0] - 'a'})}, nil
}

// LookupSRV implements egress.Resolver.
func (w *wire) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, errors.New("none")
}

func (w *wire) connect(ctx context.Context, network, address string) (net.Conn, error) {
	i := int(netip.MustParseAddrPort(address).Addr().As4()[3])
	conn, err := new(net.Dialer).DialContext(ctx, network, w.servers[i].Listener.Addr().String())
	return watched{conn, w, int64(i) + 1}, err
}

// watched is a connection to one of the servers.
type watched struct {
	net.Conn
	wire *wire
	to   int64
}

// Write notes bytes that really leave for whom the policy of now refuses.
func (c watched) Write(b []byte) (int, error) {
	now := c.wire.admitted.Load()
	n, err := c.Conn.Write(b)
	if n > 0 && now != 0 && now != c.to {
		c.wire.wrong.Add(1)
	}
	return n, err
}

// TestReloadUnderLoad changes the policy a hundred times while requests go out. The two policies admit one server each: after a
// reload not a byte leaves for whom it refuses, by a kept connection or a request under way.
func TestReloadUnderLoad(t *testing.T) {
	w := &wire{}
	for i := range w.servers {
		w.servers[i] = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("hello")) }))
		defer w.servers[i].Close()
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := func(i int) string {
		return "version: 1\noutside: [{point: push.send, hosts: [" + string(rune('a'+i)) + ".org]}]\n"
	}
	write(text(0))
	cfg := &config.Config{Policy: config.Policy{File: file}}
	first, err := loadPolicy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{policy: policy.NewJudge(first), log: slog.New(slog.DiscardHandler)}
	out := egress.New(egress.Options{Judge: j, Resolver: w, Connect: w.connect})
	rules := watchPolicy(cfg, j, out, nil, nil, nil, j.log)
	defer rules.close()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var answered [2]atomic.Int64
	var refused atomic.Int64
	for i := range 8 {
		wg.Go(func() {
			for client := out.HTTP(egress.Push); ctx.Err() == nil; runtime.Gosched() {
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(rune('a'+i%2))+".org/", nil)
				if res, err := client.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					answered[i%2].Add(1)
					continue
				}
				refused.Add(1)
				select { // what is refused costs next to nothing: without a pause nothing else would be done
				case <-ctx.Done():
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	begun := time.Now()
	for i := range 100 {
		w.admitted.Store(0)
		write(text((i + 1) % 2))
		if err := rules.reload(ctx); err != nil {
			t.Fatal(err)
		}
		w.admitted.Store(int64((i+1)%2) + 1)
		for before := answered[(i+1)%2].Load(); answered[(i+1)%2].Load() < before+40; {
			runtime.Gosched()
		}
	}
	took := time.Since(begun)
	stop()
	wg.Wait()
	t.Logf("100 reloads in %v, while %.0f requests a second were answered and %.0f refused", took.Round(time.Millisecond),
		float64(answered[0].Load()+answered[1].Load())/took.Seconds(), float64(refused.Load())/took.Seconds())
	if w.wrong.Load() != 0 {
		t.Errorf("%d writes to whom the policy refuses", w.wrong.Load())
	}
	write("version: 1\nfederaton: {}\n")
	before := j.policy.Current().Number
	if err := rules.reload(t.Context()); err == nil || rules.state.Load().broken == nil || j.policy.Current().Number != before {
		t.Errorf("an invalid file: %v", err)
	}
}

func TestPolicyCommands(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	say := func(code int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if got := run(t.Context(), args, console{out: &out, err: &out}); got != code {
			t.Fatalf("%v: %d\n%s", args, got, out.String())
		}
		return out.String()
	}
	say(0, "policy", "init", file)
	say(1, "policy", "init", file)
	if got := say(0, "policy", "lint", "-policy", file); !strings.Contains(got, "correct") {
		t.Error(got)
	}
	if got := say(0, "policy", "explain", "-policy", file, "fed.dial", "a.fr"); !strings.Contains(got, "partner.unknown") {
		t.Error(got)
	}
	say(1, "policy", "explain", "-policy", file, "fed.dail", "a.fr")
	if got := say(0, "policy", "points"); !strings.Contains(got, "fed.dial") {
		t.Error(got)
	}
	configFile := filepath.Join(dir, "rempart.yaml")
	if err := os.WriteFile(configFile, []byte("server: {name: a.fr}\nfederation: {allow: [b.fr]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := say(0, "policy", "what-if", "-config", configFile, file); !strings.Contains(got, "fed.dial         b.fr  would be REFUSED") {
		t.Error(got)
	}
}

func TestKindsOfData(t *testing.T) {
	g, err := policy.Compile([]byte("version: 1\npartners: [{server: a.fr}, {server: b.fr, allow: [rooms, presence], keys: {\"ed25519:a\": AAAA}}]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{policy: policy.NewJudge(g), log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct {
		server matrix.ServerName
		typ    string
		ok     bool
	}{
		{"a.fr", "m.receipt", true}, {"a.fr", "m.direct_to_device", true}, {"a.fr", "m.typing", false}, {"a.fr", "m.presence", false},
		{"b.fr", "m.presence", true}, {"b.fr", "m.receipt", false}, {"c.fr", "m.receipt", false},
	} {
		if j.tells("", c.server, c.typ) != c.ok || j.hears(c.server, "", c.typ) != c.ok {
			t.Errorf("%s %s: want %v", c.server, c.typ, c.ok)
		}
	}
	if j.pinned("b.fr", "ed25519:a", "BBBB") || !j.pinned("b.fr", "ed25519:a", "AAAA") || !j.pinned("a.fr", "ed25519:a", "BBBB") {
		t.Error("pinned keys")
	}
}

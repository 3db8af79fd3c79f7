package sovereign

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Spec: Synapse's registration by shared secret
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// lab is the world of one test.
type lab struct {
	*names
	t  *testing.T
	ca *fakenet.CA
	// abroad is a sink in the United States, cloud one in France under foreign law, nowhere one of which nothing is known.
	abroad, cloud, nowhere *sink
	// further sinks and relays
	further []*sink
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{names: newNames(t), t: t, ca: fakenet.NewCA(t)}
	l.abroad, l.cloud, l.nowhere = l.sink("127.12.0.1:0"), l.sink("127.11.0.1:0"), l.sink("127.14.0.1:0")
	for _, place := range []string{"127.12.0.1", "127.11.0.1", "127.14.0.1"} {
		for _, port := range []string{"25", "53", "80", "443", "587", "8448"} {
			l.sink(place + ":" + port)
		}
	}
	t.Cleanup(l.silence)
	return l
}

func (l *lab) sink(addr string) *sink {
	s := newSink(l.t, addr)
	if s != nil {
		l.further = append(l.further, s)
	}
	return s
}

// silence is the law of the lab: nothing reached any sink.
func (l *lab) silence() {
	l.t.Helper()
	for _, s := range l.further {
		if n := s.conns.Load(); n != 0 {
			l.t.Errorf("%d connections with %d bytes reached %s", n, s.bytes.Load(), s.addr)
			s.conns.Store(0)
		}
	}
}

// town is a real server with two people.
type town struct {
	*live.Server
	l     *lab
	relay *relay // counts what reaches a stranger; nil for a French server
	alice *mx.Client
	boss  *mx.Client // its administrator
}

// french is the policy of a French server; partners are added to it.
const french = `version: 1
territory: {within: [france], lab: true}
deny: {servers: [banned.lab]}
outside:
  - {point: push.send, hosts: [push.lab, push.abroad.lab, push.moves.lab]}
  - {point: media.preview, hosts: ["*"]}
  - {point: as.send, hosts: [configured]}
  - {point: notify.mail, hosts: [configured]}
  - {point: media.scan, hosts: [configured]}
  - {point: store.open, hosts: [configured]}
  - {point: rtc.media, hosts: [configured], private: true}
  - {point: infra.dns, hosts: [configured]}
partners:
`

// partners writes the partners of a policy: name, or "name: more settings".
func partners(names ...string) string {
	var sb strings.Builder
	for _, n := range names {
		name, more, _ := strings.Cut(n, ": ")
		fmt.Fprintf(&sb, "  - {server: %q, allow: [rooms, media, profiles, devices, receipts, typing, presence, directory]%s}\n", name, more)
	}
	return sb.String()
}

// town starts a server at a place, with a policy of its own. Proxies of its environment lead abroad.
func (l *lab) town(name, at, policy, more string) *town {
	l.t.Helper()
	dir := l.t.TempDir()
	mx.Must(l.t, os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy), 0o600))
	proxy := "http://" + l.abroad.addr
	s := live.Start(l.t, live.Options{
		Name: name, At: at, CA: l.ca, Dir: dir,
		Env: []string{"HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy, "ALL_PROXY=" + proxy, "http_proxy=" + proxy, "https_proxy=" + proxy, "all_proxy=" + proxy,
			"REMPART_SERVER_PUBLIC_URL=https://" + name, "REMPART_LISTEN_TRUSTED_PROXIES=127.0.0.1"},
		Extra: fmt.Sprintf("federation:\n  ca: ca.pem\n  source: %s\npolicy:\n  file: policy.yaml\n  resolvers: [%q]\n%s", at, l.names.Addr, more),
	})
	where := netip.MustParseAddrPort(s.Federation)
	l.host("matrix."+name, where.Addr().String())
	l.service(name, "matrix."+name, where.Port())
	w := &town{Server: s, l: l}
	w.people()
	return w
}

// people makes the accounts of a server.
func (w *town) people() {
	w.l.t.Helper()
	ctx := w.l.t.Context()
	var err error
	w.alice, err = mx.Register(ctx, w.URL, "alice")
	mx.Must(w.l.t, err)
	var nonce struct{ Nonce string }
	w.boss = &mx.Client{URL: w.URL}
	mx.Must(w.l.t, w.boss.Do(ctx, "GET", "/_synapse/admin/v1/register", nil, &nonce))
	mac := hmac.New(sha1.New, []byte("live"))
	mac.Write([]byte(nonce.Nonce + "\x00boss\x00boss-password\x00admin"))
	var made struct {
		UserID string `json:"user_id"`
		Token  string `json:"access_token"`
	}
	mx.Must(w.l.t, w.boss.Do(ctx, "POST", "/_synapse/admin/v1/register", map[string]any{"nonce": nonce.Nonce, "username": "boss",
		"password": "boss-password", "admin": true, "mac": hex.EncodeToString(mac.Sum(nil))}, &made))
	w.boss.UserID, w.boss.Token = made.UserID, made.Token
}

// entry is a record in the answer to a question.
type entry struct {
	N       int64    `json:"n"`
	Kind    string   `json:"kind"`
	For     string   `json:"for"`
	Dest    string   `json:"dest"`
	Host    string   `json:"host"`
	Addr    string   `json:"addr"`
	CC      string   `json:"cc"`
	Rule    string   `json:"rule"`
	Why     string   `json:"why"`
	Count   int64    `json:"count"`
	Place   string   `json:"place"`
	Session string   `json:"session"`
	Mission string   `json:"mission"`
	Types   []string `json:"types"`
	About   []string `json:"about"`
	Outcome *struct {
		OK   bool  `json:"ok"`
		Sent int64 `json:"sent"`
	} `json:"outcome"`
}

// asks puts a question to the record.
func (w *town) asks(question string) []entry {
	w.l.t.Helper()
	var trail struct{ Entries []entry }
	mx.Must(w.l.t, w.boss.Do(context.WithoutCancel(w.l.t.Context()), "GET", "/_rempart/admin/v1/ledger/"+question, nil, &trail))
	return trail.Entries
}

// trace lists the records about a server or host.
func (w *town) trace(dest string) []entry { return w.asks("trace/server/" + url.PathEscape(dest)) }

// refusals counts what the record says to have been refused to a server or host, and fails at a connection to it.
func (w *town) refusals(dest string) (n int64, rules []string) {
	w.l.t.Helper()
	for _, e := range w.trace(dest) {
		switch e.Kind {
		case "refused":
			n += e.Count
			rules = append(rules, e.Rule)
		case "connection":
			w.l.t.Errorf("a connection to %s at %s (%s) was opened", dest, e.Addr, e.CC)
		}
	}
	return n, rules
}

// adopt puts another policy in force.
func (w *town) adopt(policy string) {
	w.l.t.Helper()
	before := strings.Count(w.Log(), "policy in force")
	mx.Must(w.l.t, os.WriteFile(filepath.Join(w.Dir, "policy.yaml"), []byte(policy), 0o600))
	w.Signal(sighup)
	w.l.until("the policy is in force", func() bool { return strings.Count(w.Log(), "policy in force") > before })
}

// until waits for something that happens by itself.
func (l *lab) until(what string, so func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(mx.Patience); !so(); {
		if time.Now().After(deadline) {
			l.t.Fatalf("not so in the end: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// refused gives the error of a refusal; nil when err is none.
func refused(err error) *mx.Error {
	var e *mx.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// tlsFor is the certificate of a name.
func (l *lab) tlsFor(names ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{l.ca.Issue(names...)}} //nolint:gosec // a test
}

// object is any JSON object.
type object = map[string]any

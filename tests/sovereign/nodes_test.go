package sovereign

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// second starts another node of a server on the same database.
func (w *town) second(at string) *town {
	w.l.t.Helper()
	dir, t := w.l.t.TempDir(), w.l.t
	rules, err := os.ReadFile(filepath.Join(w.Dir, "policy.yaml"))
	mx.Must(t, err)
	mx.Must(t, os.WriteFile(filepath.Join(dir, "policy.yaml"), rules, 0o600))
	for _, file := range []string{"ledger.key"} {
		if raw, err := os.ReadFile(filepath.Join(w.Dir, file)); err == nil {
			mx.Must(t, os.WriteFile(filepath.Join(dir, file), raw, 0o600))
		}
	}
	own, err := os.ReadFile(filepath.Join(w.Dir, "rempart.yaml"))
	mx.Must(t, err)
	_, extra, ok := bytes.Cut(own, []byte("federation:\n  ca: ca.pem\n"))
	if !ok {
		t.Fatalf("the configuration: %s", own)
	}
	s := live.Start(t, live.Options{Name: w.Name, At: at, CA: w.l.ca, Dir: dir, SigningKey: filepath.Join(w.Dir, "signing.key"),
		Env:   []string{"REMPART_SERVER_PUBLIC_URL=https://" + w.Name, "REMPART_LISTEN_TRUSTED_PROXIES=127.0.0.1"},
		Extra: "federation:\n  ca: ca.pem\n" + string(extra)})
	alice, boss := *w.alice, *w.boss
	alice.URL, boss.URL = s.URL, s.URL
	return &town{Server: s, l: w.l, alice: &alice, boss: &boss}
}

// TestTwoNodesAreOneServer goes all ways abroad by a second node of a server, whose policy is then tightened on that one alone: nothing leaves by it, and
// what it refused stands in the one record of both.
func TestTwoNodesAreOneServer(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("no PostgreSQL is wanted")
	}
	l := newLab(t)
	ctx := t.Context()
	elsewhere := l.elsewhere()
	p := l.peer("prefecture.lab", "127.10.0.2")
	rules := french + partners(append(slices.DeleteFunc(l.admitted(), func(n string) bool { return n == "prefecture.lab" }), "prefecture.lab")...)
	one := l.town("mairie.lab", "127.10.0.1", rules, fmt.Sprintf("database:\n  url: %q\n", pgtest.New(t)))
	two := one.second("127.10.0.1")
	room, err := one.alice.CreateRoom(ctx, object{"preset": "public_chat"})
	mx.Must(t, err)
	for server, rule := range elsewhere {
		for _, way := range ways(room) {
			err := way.do(ctx, two.alice, server)
			if e := refused(err); !way.quiet && (e == nil || e.Code != "M_FORBIDDEN" && !way.here) {
				t.Errorf("%s, %s: %v", server, way.name, err)
			}
		}
		l.until("the first node knows what the second refused", func() bool {
			n, found := one.refusals(server)
			return n > 0 && slices.Contains(found, rule)
		})
	}
	before := p.calls()
	two.adopt(french)
	err = two.alice.Do(ctx, "GET", "/_matrix/client/v3/profile/@bob:prefecture.lab", nil, nil)
	if e := refused(err); e == nil || e.Code != "M_FORBIDDEN" || p.calls() != before {
		t.Errorf("by the node whose policy is tighter: %v, %d requests", err, p.calls()-before)
	}
	one.nothingLeft()
}

package appservices

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
	"rempart/internal/testkit/ports"
)

// The tokens of the test's registration.
const (
	asToken = "as-token-of-the-test"
	hsToken = "hs-token-of-the-test"
)

// registration is a registration file of a service at an address.
func registration(address, more string) string {
	return fmt.Sprintf(`id: bridge
url: %q
as_token: %s
hs_token: %s
sender_localpart: _bridge_bot
%snamespaces:
  users:
    - {regex: "@_bridge_.*", exclusive: true}
  aliases:
    - {regex: "#_bridge_.*", exclusive: true}
  rooms: []
`, address, asToken, hsToken, more)
}

// engines runs a test on each engine that is asked for.
func engines(t *testing.T, fn func(*testing.T, live.Options)) {
	if os.Getenv("REMPART_TEST_ENGINES") != "postgres" {
		t.Run("sqlite", func(t *testing.T) { fn(t, live.Options{}) })
	}
	if pgtest.Wanted() {
		t.Run("postgres", func(t *testing.T) { fn(t, live.Options{Postgres: pgtest.New(t)}) })
	}
}

// withService adds a registration file to a server's options.
func withService(t *testing.T, o live.Options, address, more string) live.Options {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "bridge.yaml"), []byte(registration(address, more)), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Extra += "appservices:\n  files: [bridge.yaml]\n"
	return o
}

// service is an application service in a process of its own.
type service struct {
	t    *testing.T
	addr string
	file string
	cmd  *exec.Cmd
}

func newService(t *testing.T) *service {
	t.Helper()
	return &service{t: t, addr: ports.Hold(t, ""), file: filepath.Join(t.TempDir(), "taken")}
}

func (s *service) url() string { return "http://" + s.addr }

// start starts the process; kill ends it at once.
func (s *service) start() {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(self)
	s.cmd.Env = append(os.Environ(), childAddr+"="+s.addr, childFile+"="+s.file)
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

func (s *service) kill() {
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	_ = s.cmd.Wait()
}

// transactions reads what the service has taken; a line that a kill cut off is left out.
func (s *service) transactions() []taken {
	s.t.Helper()
	b, err := os.ReadFile(s.file)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	var out []taken
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var one taken
		if json.Unmarshal(lines.Bytes(), &one) == nil {
			out = append(out, one)
		}
	}
	return out
}

// messages are the texts that the service was told, in order, each transaction once. A transaction that came again must be
// the same.
func (s *service) messages() []string {
	s.t.Helper()
	seen := map[string]string{}
	var out []string
	for _, one := range s.transactions() {
		if was, again := seen[one.Txn]; again {
			if was != string(one.Body) {
				s.t.Fatalf("transaction %s came again with other content:\n%s\n%s", one.Txn, was, one.Body)
			}
			continue
		}
		seen[one.Txn] = string(one.Body)
		var body struct{ Events []mx.Event }
		if err := json.Unmarshal(one.Body, &body); err != nil {
			s.t.Fatal(err)
		}
		for _, e := range body.Events {
			if e.Type == "m.room.message" {
				out = append(out, e.Body())
			}
		}
	}
	return out
}

// until waits for something to be so, within what the context allows.
func until(ctx context.Context, t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("not so in the end: %s", what)
		case <-tick.C:
		}
	}
}

// as makes a request as one of the service's users ("" its sender).
func as(ctx context.Context, s *live.Server, user, method, path string, body, out any) error {
	c := &mx.Client{URL: s.URL, Token: asToken}
	if user != "" {
		sep := "?"
		if u, err := url.Parse(path); err == nil && u.RawQuery != "" {
			sep = "&"
		}
		path += sep + "user_id=" + url.QueryEscape(user)
	}
	return c.Do(ctx, method, path, body, out)
}

// room makes a room of a user with the service's sender in it.
func room(ctx context.Context, t *testing.T, s *live.Server, c *mx.Client) string {
	t.Helper()
	id, err := c.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, as(ctx, s, "", "POST", "/_matrix/client/v3/join/"+url.PathEscape(id), map[string]any{}, nil))
	return id
}

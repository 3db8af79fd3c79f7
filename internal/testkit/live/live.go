// Package live runs the real binary as a process of its own, for tests that need restarts, kills, or several nodes.
//
// It builds cmd/rempart once in each test process, starts it on free loopback ports with a data folder that is
// removed afterwards, and stops what it started when the test ends. The binary goes when another test process builds the next.
package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/lines"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/ports"
)

// Options say how a server is set up.
type Options struct {
	// Name is the server name; default "localhost".
	Name string
	// Postgres is the URL of a database; empty takes SQLite in the server's own folder.
	Postgres string
	// Dir is the data folder; default a fresh one. Two nodes on one database share the signing key by SigningKey.
	Dir        string
	SigningKey string
	// Tenants are further server names in the same process.
	Tenants []string
	// CA, when set, makes the server speak with others whose certificates are of the same authority. Its name is then its
	// federation address on loopback.
	CA *fakenet.CA
	// Relay, with a CA, is told the address where the server listens for others and gives the one by which they know it, as of
	// something between them that a test can cut; nil: they are the same.
	Relay func(listen string) string
	// Extra is further configuration (YAML sections).
	Extra string
	// At, with a CA and a Name, is the loopback address where the server listens for others, who find it by its name.
	At string
	// Env are further variables of its environment, such as "HTTPS_PROXY=...".
	Env []string
	// Binary is a build to run, for comparisons; "" builds the tree as it is.
	Binary string
}

// Server is one running process. Its methods are for one goroutine, but URL and Alive may be read by many.
type Server struct {
	URL string
	Dir string
	// Name is the server name; Federation the address where other servers reach it, "" without a CA.
	Name, Federation string

	t      testing.TB
	binary string
	env    []string
	cmd    *exec.Cmd
	exited chan error
	log    *lines.Buffer
}

var build = sync.OnceValues(buildBinary)

// Start runs a server and waits until it answers.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	binary, err := o.Binary, error(nil)
	if binary == "" {
		binary, err = build()
	}
	if err != nil {
		t.Fatal(err)
	}
	if o.Name == "" {
		o.Name = "localhost"
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s := &Server{t: t, binary: binary, env: o.Env, Dir: o.Dir, log: &lines.Buffer{}}
	listen := ""
	if o.CA != nil {
		listen = ports.Hold(t, o.At)
		s.Federation = listen
		if o.Relay != nil {
			s.Federation = o.Relay(listen)
		}
		if o.At == "" {
			o.Name = s.Federation
		}
		o.Extra = o.federation(o.Name) + o.Extra
	}
	s.Name = o.Name
	addr := ports.Hold(t, "")
	s.URL = "http://" + addr
	if err := os.WriteFile(filepath.Join(o.Dir, "rempart.yaml"), []byte(o.yaml(addr, listen)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("server log:\n%s", s.log.Tail(8<<10))
		}
	})
	return s
}

func (o *Options) yaml(addr, federation string) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "server:\n  name: %q\n", o.Name)
	if o.SigningKey != "" {
		fmt.Fprintf(&sb, "  signing_key: %q\n", o.SigningKey)
	}
	for i, name := range o.Tenants {
		if i == 0 {
			sb.WriteString("  tenants:\n")
		}
		fmt.Fprintf(&sb, "    - name: %q\n", name)
	}
	fmt.Fprintf(&sb, "listen:\n  client: %q\n  metrics: \"\"\n", addr)
	if o.CA != nil {
		fmt.Fprintf(&sb, "  federation: %q\n  tls_cert: cert.pem\n  tls_key: key.pem\n", federation)
	}
	if o.Postgres != "" {
		fmt.Fprintf(&sb, "database:\n  url: %q\n", o.Postgres)
	}
	sb.WriteString("registration:\n  open: true\n  shared_secret: live\npassword:\n  argon2_time: 1\n  argon2_memory_kib: 64\n")
	if !strings.Contains(o.Extra, "limits:") {
		sb.WriteString("limits:\n  enabled: false\n")
	}
	sb.WriteString(o.Extra)
	return sb.String()
}

// federation writes what a server needs to speak with others, and says so in the configuration.
func (o *Options) federation(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	o.CA.WriteFiles(o.Dir, host)
	if strings.Contains(o.Extra, "federation:") {
		return ""
	}
	return "federation:\n  allow: [\"*\"]\n  allow_private: true\n  ca: ca.pem\n"
}

// Restart starts the process again after Kill or Stop.
func (s *Server) Restart() {
	s.t.Helper()
	s.cmd = exec.Command(s.binary, "serve", "-config", filepath.Join(s.Dir, "rempart.yaml"))
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(s.cmd, s.exited)
	s.waitReady()
}

// waitReady asks until the server answers; a server that ends before fails the test with its log.
func (s *Server) waitReady() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), mx.Patience)
	defer cancel()
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/_matrix/client/versions", nil)
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			s.t.Fatalf("the server ended at its start (%v):\n%s", err, s.log.Tail(8<<10))
		case <-ctx.Done():
			s.t.Fatalf("the server does not answer:\n%s", s.log.Tail(8<<10))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill ends the process at once, as a power cut would.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop asks the process to end and waits for it.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(sig syscall.Signal) {
	_ = s.cmd.Process.Signal(sig)
	err := <-s.exited
	s.exited <- err
}

// Command runs another command of the binary on the server's configuration and gives what it printed.
func (s *Server) Command(words ...string) (string, error) {
	args := append(words, "-config", filepath.Join(s.Dir, "rempart.yaml"))
	cmd := exec.Command(s.binary, args...)
	cmd.Env = append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Signal sends the process a signal, such as SIGSTOP and SIGCONT.
func (s *Server) Signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// PID is the number of the running process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Log is what the server has written so far.
func (s *Server) Log() string { return s.log.Tail(1 << 20) }

// buildBinary compiles the server once; CGO_ENABLED=0 as it is shipped. REMPART_BIN names a binary to take instead.
func buildBinary() (string, error) {
	if ready := os.Getenv("REMPART_BIN"); ready != "" {
		return ready, nil
	}
	removeOldBuilds()
	dir, err := os.MkdirTemp("", fmt.Sprintf("rempart-live-%d-", os.Getpid()))
	if err != nil {
		return "", err
	}
	_, self, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(self), "..", "..", "..")
	binary := filepath.Join(dir, "rempart")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/rempart")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return binary, nil
}

// removeOldBuilds removes what test programs that have ended built. Why not each its own: a test program has no last word.
func removeOldBuilds() {
	builds, _ := filepath.Glob(filepath.Join(os.TempDir(), "rempart-live-*"))
	for _, dir := range builds {
		var pid int
		_, err := fmt.Sscanf(filepath.Base(dir), "rempart-live-%d-", &pid)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}

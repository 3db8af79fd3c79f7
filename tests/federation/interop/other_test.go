package interop

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/fakenet"
)

// patience bounds how long a test waits for something that must happen; nothing is asserted about time. It is more than half a minute, after
// which servers with a queue of their own (Dendrite) take up again what they had in hand when they were killed.
const patience = 45 * time.Second

// other is the homeserver of somebody else, a process that PEER_LAUNCHER runs.
type other struct {
	t      *testing.T
	url    string
	env    []string
	cmd    *exec.Cmd
	exited chan error
	log    tail
}

// startOther runs the launcher for a server that others know by what stands before it: that is told where it listens, and gives its name.
func startOther(t *testing.T, ca *fakenet.CA, before func(listen string) string) *other {
	t.Helper()
	dir, host, client, listen := t.TempDir(), "127.0.0.1", freeAddr(t), freeAddr(t)
	caFile, cert, key := ca.WriteFiles(dir, host)
	o := &other{t: t, url: "http://" + client}
	o.env = append(os.Environ(), "PEER_DIR="+dir, "PEER_NAME="+before(listen), "PEER_LISTEN="+listen, "PEER_CLIENT="+client,
		"PEER_CA="+caFile, "PEER_CERT="+cert, "PEER_KEY="+key, "PEER_SECRET=peer")
	o.start()
	t.Cleanup(func() {
		o.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("log of the other server:\n%s", o.log.String())
		}
	})
	return o
}

// start runs the process and waits until it answers.
func (o *other) start() {
	o.t.Helper()
	o.cmd = exec.Command(os.Getenv("PEER_LAUNCHER")) //nolint:gosec // whoever runs the test says what it runs
	o.cmd.Env, o.cmd.Stdout, o.cmd.Stderr = o.env, &o.log, &o.log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	o.cmd.WaitDelay = time.Second
	if err := o.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(o.cmd, o.exited)
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	for !answers(ctx, o.url) {
		select {
		case err := <-o.exited:
			o.exited <- err
			o.t.Fatalf("the other server ended at its start (%v):\n%s", err, o.log.String())
		case <-ctx.Done():
			o.t.Fatalf("the other server does not answer:\n%s", o.log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/_matrix/client/versions", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// end ends the process, with all that it has started.
func (o *other) end(sig syscall.Signal) {
	_ = syscall.Kill(-o.cmd.Process.Pid, sig)
	err := <-o.exited
	o.exited <- err
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// tail keeps the end of what a process writes.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf.Len() > 1<<20 {
		b.buf.Next(1 << 19)
	}
	return b.buf.Write(p)
}

// String is the end of it.
func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.buf.String()
	return text[max(0, len(text)-16<<10):]
}

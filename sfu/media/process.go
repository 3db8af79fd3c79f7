package media

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rempart/sfu"
)

// ProcessOptions say how the child is started.
type ProcessOptions struct {
	Settings Settings
	// Program and Args start the child; the settings go to its standard input.
	Program string
	Args    []string
	// Transport reaches the child's socket.
	Transport Transport
	// Reach judges an address before the child sends anything there: nil, or why it must not. Where it is nil everything is admitted.
	Reach func(ctx context.Context, to netip.Addr) error
	Log   *slog.Logger
}

// Transport carries requests to a socket; *http.Transport is one.
type Transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// Process is the media process as its parent sees it. It is started again whenever it ends. Its methods may be called
// concurrently.
type Process struct {
	ProcessOptions
	cancel   context.CancelFunc
	done     sync.WaitGroup
	signal   *httputil.ReverseProxy
	restarts atomic.Int64

	mu sync.Mutex
	up chan struct{} // closed while the child serves
}

// Bounds of how long a child is waited for.
const (
	startTime  = 20 * time.Second
	minPause   = 200 * time.Millisecond
	maxPause   = 10 * time.Second
	healthyFor = time.Minute
)

// Start starts the child and waits until it serves: a mistake in its settings is told at once.
func Start(ctx context.Context, o ProcessOptions) (*Process, error) {
	if err := o.Settings.Check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Settings.Judged = o.Reach != nil
	p := &Process{ProcessOptions: o, up: make(chan struct{})}
	p.signal = &httputil.ReverseProxy{Transport: o.Transport, ErrorHandler: p.unreachable, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "media"})
			r.Out.Header.Del("Cookie")
		},
		ModifyResponse: func(r *http.Response) error {
			for name := range r.Header {
				if len(name) > 14 && name[:14] == "Access-Control" {
					r.Header.Del(name) // the router has said it
				}
			}
			return nil
		}}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	first := make(chan error, 1)
	p.done.Go(func() { p.keep(run, &once{to: first}) })
	if err := <-first; err != nil {
		return nil, errors.Join(fmt.Errorf("media process: %w", err), p.Close())
	}
	return p, nil
}

// Close ends the child and waits for it.
func (p *Process) Close() error {
	p.cancel()
	p.done.Wait()
	p.Transport.CloseIdleConnections()
	return nil
}

// Restarts is how often the child had to be started again.
func (p *Process) Restarts() int64 { return p.restarts.Load() }

// once tells how the first child began.
type once struct {
	to   chan error
	done bool
}

// tell reports whether this was the first time.
func (o *once) tell(err error) bool {
	if o.done {
		return false
	}
	o.done = true
	o.to <- err
	return true
}

// keep runs one child after the other; Start waits for the first.
func (p *Process) keep(ctx context.Context, first *once) {
	pause := minPause
	for {
		began := time.Now()
		err := p.run(ctx, func() { first.tell(nil) })
		if first.tell(err) || ctx.Err() != nil {
			return // it never served: Start says why
		}
		p.restarts.Add(1)
		p.Log.Error("the media process ended; calls come back when it has started again", "error", err)
		if time.Since(began) > healthyFor {
			pause = minPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// run starts one child and returns when it has ended.
func (p *Process) run(ctx context.Context, serving func()) error {
	settings, err := json.Marshal(p.Settings)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, p.Program, p.Args...) //nolint:gosec // Why: it is this very binary
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	last := &lastLine{log: p.Log}
	cmd.Stderr, cmd.Env = last, os.Environ()
	cmd.WaitDelay = 2 * time.Second
	cmd.Cancel = in.Close // Why: a child that is told so leaves other nodes in order; it is killed after WaitDelay
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = in.Write(append(settings, '\n'))
	timeout := time.AfterFunc(startTime, func() { _ = cmd.Process.Kill() })
	p.answer(ctx, out, in, func() {
		if timeout.Stop() && err == nil {
			serving()
			p.serving(true)
		}
	})
	err = cmd.Wait()
	timeout.Stop()
	p.serving(false)
	p.Transport.CloseIdleConnections()
	return fmt.Errorf("%w: %s", errOr(err, "ended"), last.text())
}

// answer notes when the child serves, and answers what it asks about addresses, until it has ended.
func (p *Process) answer(ctx context.Context, asked io.Reader, to io.Writer, serves func()) {
	for lines := bufio.NewScanner(asked); lines.Scan(); {
		if lines.Text()+"\n" == ready {
			serves()
			continue
		}
		a, err := netip.ParseAddr(strings.TrimPrefix(lines.Text(), question))
		if err != nil || p.Reach == nil {
			continue
		}
		word := yes
		if err := p.Reach(ctx, a); err != nil {
			word = no
		}
		_, _ = io.WriteString(to, word+a.String()+"\n") // a child that has ended needs none
	}
	_, _ = io.Copy(io.Discard, asked)
}

func errOr(err error, text string) error {
	if err == nil {
		return errors.New(text)
	}
	return err
}

// serving notes whether the child serves.
func (p *Process) serving(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if yes {
		close(p.up)
		return
	}
	select {
	case <-p.up:
		p.up = make(chan struct{})
	default: // it never served
	}
}

// await waits until the child serves.
func (p *Process) await(ctx context.Context) error {
	p.mu.Lock()
	up := p.up
	p.mu.Unlock()
	select {
	case <-up:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("media process: %w", ctx.Err())
	}
}

// lastLine passes what the child says on to the log, and keeps the last of it.
type lastLine struct {
	log *slog.Logger
	mu  sync.Mutex
	buf []byte
	end string
}

// Write implements [io.Writer].
func (l *lastLine) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	for {
		line, rest, ok := bytes.Cut(l.buf, []byte("\n"))
		if !ok {
			break
		}
		l.end, l.buf = string(line[:min(len(line), 2000)]), rest
		l.log.Warn("media process", "line", l.end)
	}
	if len(l.buf) > 1<<16 {
		l.buf = nil
	}
	return len(b), nil
}

func (l *lastLine) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

var _ sfu.Backend = (*Process)(nil)

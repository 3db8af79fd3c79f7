package httpx

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/testkit/cputime"
)

// waitersEnv names the address that this test program, instead of testing, asks over and over again.
const waitersEnv = "REMPART_TEST_WAITERS"

// waiting is how many connections ask at the same time.
const waiting = 100

// TestWaiters is the other side of [BenchmarkFloor], in a process of its own so that its processor time is not counted.
func TestWaiters(t *testing.T) {
	address := os.Getenv(waitersEnv)
	if address == "" {
		t.Skip("this is a process of BenchmarkFloor")
	}
	request := "GET /_matrix/client/v3/sync?filter=1&timeout=30000&since=s1_123456_123456_123456 HTTP/1.1\r\nHost: localhost\r\n" +
		"Authorization: Bearer alice\r\nAccept-Encoding: identity\r\n\r\n"
	var all sync.WaitGroup
	for range waiting {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer func() { _ = conn.Close() }()
			for r := bufio.NewReader(conn); ; {
				if _, err := io.WriteString(conn, request); err != nil {
					return // the server is done
				}
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
			}
		})
	}
	all.Wait()
}

// gong lets a number of requests wait, and answers all of them at once.
type gong struct {
	mu    sync.Mutex
	count int
	full  chan struct{} // told when all wait
	sound chan struct{} // closed when they are answered
}

func newGong() *gong { return &gong{full: make(chan struct{}, 1), sound: make(chan struct{})} }

func (g *gong) wait(ctx context.Context) {
	g.mu.Lock()
	sound := g.sound
	if g.count++; g.count == waiting {
		g.full <- struct{}{}
	}
	g.mu.Unlock()
	select {
	case <-sound:
	case <-ctx.Done():
	}
}

func (g *gong) strike() {
	<-g.full
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.sound)
	g.count, g.sound = 0, make(chan struct{})
}

// What an answer to one of a hundred who wait costs, in processor time, twenty times a second: "bare" is net/http and the system alone,
// "router" has what this package does for each request. A message to a hundred syncs cannot cost less.
func BenchmarkFloor(b *testing.B) {
	answer := json.RawMessage(`{"next_batch":"` + strings.Repeat("x", 600) + `"}`)
	b.Run("bare", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		g := newGong()
		g.serve(b, l, err, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			g.wait(req.Context())
			w.Header()["Content-Type"] = jsonContentType
			w.Header()["Content-Length"] = []string{strconv.Itoa(len(answer))}
			_, _ = w.Write(answer)
		}))
	})
	b.Run("router", func(b *testing.B) {
		g := newGong()
		r := New(Options{Auth: people()})
		Handle(r, "GET", "/_matrix/client/v3/sync", Route{Access: User}, func(ctx context.Context, _ matrix.Caller, _ Path, _ Empty) (json.RawMessage, error) {
			g.wait(ctx)
			return answer, nil
		})
		l, err := Listen(b.Context(), "127.0.0.1:0", ListenOptions{})
		g.serve(b, l, err, r)
	})
}

func (g *gong) serve(b *testing.B, l net.Listener, err error, h http.Handler) {
	if err != nil {
		b.Fatal(err)
	}
	server := NewServer(h, slog.New(slog.DiscardHandler))
	var end sync.WaitGroup
	end.Go(func() { _ = server.Serve(l) })
	waiters := exec.Command(os.Args[0], "-test.run=^TestWaiters$")
	waiters.Env = append(os.Environ(), fmt.Sprintf("%s=%s", waitersEnv, l.Addr()))
	if err := waiters.Start(); err != nil {
		b.Fatal(err)
	}
	g.strike() // all are there
	var began time.Duration
	n := 0
	for ; b.Loop(); n++ {
		if n == 0 {
			began = cputime.Used()
		}
		time.Sleep(50 * time.Millisecond)
		g.strike()
	}
	b.ReportMetric(float64(cputime.Used()-began)/float64(n*waiting), "cpu-ns/answer")
	_ = server.Close()
	end.Wait()
	_ = waiters.Wait()
}

package httpx

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rempart/internal/matrix"
)

// pair is both ends of a connection; what is accepted is handed out as a listener hands it out.
func pair(t *testing.T) (server *clearConn, client *net.TCPConn) {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0", ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	return accepted.(*clearConn), c.(*net.TCPConn)
}

// What is sent from a file is handed to the socket as a file, which net/http does only on connections that read from readers. Nothing of it
// is lost or changed.
func TestConnectionsTakeFiles(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, proxied := range []bool{false, true} {
		server, client := pair(t)
		var conn net.Conn = server
		if proxied {
			conn = &proxyConn{Conn: server}
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		taker, ok := conn.(io.ReaderFrom)
		if !ok {
			t.Fatalf("%T takes no files", conn)
		}
		sent := make(chan error, 1)
		go func() {
			_, err := taker.ReadFrom(io.LimitReader(file, int64(len(want))))
			sent <- errors.Join(err, server.Close(), file.Close())
		}()
		got, err := io.ReadAll(client)
		if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, want) {
			t.Errorf("proxied %v: %d bytes came of %d: %v", proxied, len(got), len(want), err)
		}
	}
}

// A request ends when its client hangs up: the first of a connection, a later one, behind a proxy, on a unix socket.
func TestARequestEndsWhenItsClientHangsUp(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, c := range map[string]struct {
		address string
		options ListenOptions
		before  string
	}{
		"at once":    {"127.0.0.1:0", ListenOptions{}, ""},
		"later":      {"127.0.0.1:0", ListenOptions{}, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"},
		"with proxy": {"127.0.0.1:0", ListenOptions{ProxyProtocol: true, Trusted: trusted}, string(proxyHeader(0, 0, nil))},
		"unix":       {"unix:" + filepath.Join(t.TempDir(), "s"), ListenOptions{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Listen(t.Context(), c.address, c.options)
			if err != nil {
				t.Fatal(err)
			}
			came, ended := make(chan struct{}), make(chan error, 1)
			r := New(Options{})
			Handle(r, "GET", "/now", Route{}, func(context.Context, matrix.Caller, Path, Empty) (Empty, error) { return Empty{}, nil })
			Handle(r, "GET", "/wait", Route{}, func(ctx context.Context, _ matrix.Caller, _ Path, _ Empty) (Empty, error) {
				close(came)
				<-ctx.Done()
				ended <- ctx.Err()
				return Empty{}, ctx.Err()
			})
			server := NewServer(r, slog.New(slog.DiscardHandler))
			done := make(chan error, 1)
			go func() { done <- server.Serve(l) }()
			conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, c.before)
			if name == "later" {
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
			}
			_, _ = io.WriteString(conn, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
			<-came
			_ = conn.Close()
			patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			case <-patience.Done():
				t.Error("the request goes on")
			}
			_ = server.Close()
			<-done
		})
	}
}

// Nothing waits for one byte beside a request; a head whose next byte is all that fits is read.
func TestNothingIsReadBesideARequest(t *testing.T) {
	server, client := pair(t)
	server.begin(t.Context())
	one := make([]byte, 1)
	if n, err := server.Read(one); n != 0 || err != nil {
		t.Errorf("read beside a request: %d %v", n, err)
	}
	_, _ = io.WriteString(client, "x")
	_ = server.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := server.Read(one); n != 1 || err != nil {
		t.Errorf("read with a deadline: %d %v", n, err)
	}
	_ = server.SetReadDeadline(time.Time{})
	if n, err := server.Read(one); n != 0 || err != nil {
		t.Errorf("read beside the next: %d %v", n, err)
	}
}

// noted is a connection that notes its deadlines.
type noted struct {
	*net.TCPConn
	deadlines *[]bool // set (or taken away)
}

func (n noted) SetWriteDeadline(t time.Time) error {
	*n.deadlines = append(*n.deadlines, !t.IsZero())
	return n.TCPConn.SetWriteDeadline(t)
}

// notedListener hands out connections of either kind, one at a time.
type notedListener struct {
	net.Listener
	hangups   *hangups // nil: not of ours
	deadlines []bool
}

func (l *notedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := noted{c.(*net.TCPConn), &l.deadlines}
	if l.hangups == nil {
		return n, nil
	}
	return &clearConn{socket: n, hangups: l.hangups}, nil
}

// Every answer of a connection has a deadline while it is written, whatever net/http does between them.
func TestNoAnswerIsWrittenWithoutADeadline(t *testing.T) {
	h, err := newHangups()
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	for name, hangups := range map[string]*hangups{"ours": h, "another": nil} {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l := &notedListener{Listener: inner, hangups: hangups}
		var bare []int
		answers := 0
		r := paged()
		server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			r.ServeHTTP(w, req)
			if n := len(l.deadlines); n == 0 || !l.deadlines[n-1] {
				bare = append(bare, answers)
			}
			answers++
		}), slog.New(slog.DiscardHandler))
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		client := &http.Client{Transport: &http.Transport{}}
		for range 3 {
			res, err := client.Get("http://" + l.Addr().String() + "/_matrix/client/v3/line")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		client.CloseIdleConnections()
		_ = server.Shutdown(t.Context())
		<-done
		if answers != 3 || len(bare) > 0 {
			t.Errorf("%s: of %d answers on one connection these had no deadline: %v", name, answers, bare)
		}
	}
}

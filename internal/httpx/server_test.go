package httpx

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"rempart/internal/matrix"
)

// serveAt runs a server that answers with the client's address, until the test ends.
func serveAt(t *testing.T, address string, o ListenOptions) net.Addr {
	t.Helper()
	l, err := Listen(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	r := New(Options{TrustedProxies: o.Trusted})
	Handle(r, "GET", "/", Route{}, func(ctx context.Context, _ matrix.Caller, _ Path, _ Empty) (string, error) {
		return ClientAddr(ctx).String(), nil
	})
	server := NewServer(r, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr()
}

// exchangeBytes sends raw bytes and returns all that comes back.
func exchangeBytes(t *testing.T, addr net.Addr, out []byte) string {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = c.Write(out)
	in, _ := io.ReadAll(c)
	return string(in)
}

func proxyHeader(command, family byte, addresses []byte) []byte {
	b := append([]byte(proxySignature), 0x20|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(addresses)))
	return append(b, addresses...)
}

const get = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

func TestProxyProtocol(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	addr := serveAt(t, "127.0.0.1:0", ListenOptions{ProxyProtocol: true, Trusted: loopback})
	four := []byte{198, 51, 100, 1, 127, 0, 0, 1, 0x30, 0x39, 0, 80}
	six := append(bytes.Repeat([]byte{0x20}, 32), 0, 1, 0, 2)
	extended := append(append([]byte{}, four...), 0x04, 0, 1, 0) // one extension
	for name, c := range map[string]struct {
		out  []byte
		want string
	}{
		"IPv4":          {append(proxyHeader(1, 0x11, four), get...), `"198.51.100.1"`},
		"IPv6":          {append(proxyHeader(1, 0x21, six), get...), `"2020:2020:2020:2020:2020:2020:2020:2020"`},
		"extensions":    {append(proxyHeader(1, 0x11, extended), get...), `"198.51.100.1"`},
		"health check":  {append(proxyHeader(0, 0, nil), get...), `"127.0.0.1"`},
		"no header":     {[]byte(get), ""},
		"short":         {append(proxyHeader(1, 0x11, four[:4]), get...), ""},
		"too long":      {append(proxyHeader(1, 0x11, append(four, make([]byte, proxyMax)...)), get...), ""},
		"length of 64K": {append(append([]byte(proxySignature), 0x21, 0x11, 0xff, 0xff), get...), ""},
	} {
		got := exchangeBytes(t, addr, c.out)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %s", name, got, c.want)
		}
	}
	stranger := serveAt(t, "127.0.0.1:0", ListenOptions{ProxyProtocol: true})
	if got := exchangeBytes(t, stranger, []byte(get)); !strings.Contains(got, `"127.0.0.1"`) {
		t.Errorf("a peer that is no proxy: %q", got)
	}
	if got := exchangeBytes(t, stranger, append(proxyHeader(1, 0x11, four), get...)); strings.Contains(got, "198.51.100.1") {
		t.Errorf("a stranger's header was believed: %q", got)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), "unix:"+path, ListenOptions{}); err == nil {
		t.Fatal("took a socket away from a process that listens on it")
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close() // as a killed process leaves it
	addr := serveAt(t, "unix:"+path, ListenOptions{})
	forwarded := strings.Replace(get, "\r\n\r\n", "\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n", 1)
	if got := exchangeBytes(t, addr, []byte(forwarded)); !strings.Contains(got, `"198.51.100.9"`) {
		t.Errorf("got %q", got)
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	addr := serveAt(t, "127.0.0.1:0", ListenOptions{})
	long := strings.Replace(get, "\r\n\r\n", "\r\nX: "+strings.Repeat("x", maxHeader+8192)+"\r\n\r\n", 1)
	if got := exchangeBytes(t, addr, []byte(long)); !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("got %q", got)
	}
}

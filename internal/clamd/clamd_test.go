package clamd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// daemon is the other end, written from the protocol's description: it answers a stream that holds "virus" with FOUND.
func daemon(t *testing.T, most int) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clamd.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn, most)
		}
	}()
	return &Client{Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
}

func serve(conn net.Conn, most int) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	if command, err := r.ReadString(0); err != nil || command != "zINSTREAM\x00" {
		_, _ = io.WriteString(conn, "UNKNOWN COMMAND\x00")
		return
	}
	var all bytes.Buffer
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(size[:])
		if n == 0 {
			break
		}
		if _, err := io.CopyN(&all, r, int64(n)); err != nil {
			return
		}
		if all.Len() > most {
			_, _ = io.WriteString(conn, "INSTREAM size limit exceeded. ERROR\x00")
			return
		}
	}
	if strings.Contains(all.String(), "virus") {
		_, _ = io.WriteString(conn, "stream: Eicar-Signature FOUND\x00")
		return
	}
	_, _ = io.WriteString(conn, "stream: OK\x00")
}

func TestVerdicts(t *testing.T) {
	c := daemon(t, 10*chunkSize)
	long := strings.Repeat("x", 3*chunkSize+7)
	for name, tc := range map[string]struct {
		file  io.Reader
		clean bool
	}{
		"empty": {strings.NewReader(""), true}, "short": {strings.NewReader("letter"), true}, "long": {strings.NewReader(long), true},
		"virus": {strings.NewReader("a virus"), false}, "virus at the end": {strings.NewReader(long + "virus"), false},
	} {
		if clean, err := c.Scan(t.Context(), tc.file); clean != tc.clean || err != nil {
			t.Errorf("%s: %v, %v", name, clean, err)
		}
	}
}

func TestNoVerdict(t *testing.T) {
	c := daemon(t, chunkSize)
	if clean, err := c.Scan(t.Context(), strings.NewReader(strings.Repeat("x", 5*chunkSize))); clean || err == nil {
		t.Errorf("too large: %v, %v", clean, err)
	}
	failing := io.MultiReader(strings.NewReader("letter"), badDisk{})
	if clean, err := c.Scan(t.Context(), failing); clean || err == nil {
		t.Errorf("a file that cannot be read: %v, %v", clean, err)
	}
	away := &Client{Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("nobody") }}
	if clean, err := away.Scan(t.Context(), strings.NewReader("letter")); clean || err == nil {
		t.Errorf("nobody there: %v, %v", clean, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if clean, err := c.Scan(ctx, strings.NewReader("letter")); clean || err == nil {
		t.Errorf("called off: %v, %v", clean, err)
	}
	for _, reply := range []string{"", "stream: OK extra", "OK", "stream: INSTREAM ERROR"} {
		if clean, err := verdict(reply); clean || !errors.Is(err, ErrVerdict) {
			t.Errorf("%q: %v, %v", reply, clean, err)
		}
	}
}

type badDisk struct{}

func (badDisk) Read([]byte) (int, error) { return 0, errors.New("bad disk") }

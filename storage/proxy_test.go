package storage

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a DB and PostgreSQL. It counts round trips and cuts connections at a COMMIT.
type proxy struct {
	server    string // the server's socket
	listener  net.Listener
	answers   atomic.Int64 // answers that ended with "ready for query"
	cutBefore atomic.Int64 // how many COMMITs never reach the server
	cutAfter  atomic.Int64 // how many are answered to nobody
	wait      sync.WaitGroup
}

// newProxy gives a proxy and the URL that leads through it.
func newProxy(t *testing.T, raw string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil || u.Query().Get("host") == "" {
		t.Skip("the server has no unix socket")
	}
	dir, err := os.MkdirTemp("/tmp", "rempart-proxy-")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")}
	if p.listener, err = net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432")); err != nil {
		t.Fatal(err)
	}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.wait.Wait()
		_ = os.RemoveAll(dir)
	})
	q := u.Query()
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		link := &link{p: p, client: client, server: server}
		p.wait.Go(link.forth)
		p.wait.Go(link.back)
	}
}

type link struct {
	p              *proxy
	client, server net.Conn
	silent         atomic.Bool // the next answer is the end
}

func (l *link) cut() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// forth passes what the client says. Spec: PostgreSQL, message formats: all but the first bear a type byte.
func (l *link) forth() {
	defer l.cut()
	for typed := false; ; typed = true {
		kind, msg, err := readMessage(l.client, typed)
		if err != nil {
			return
		}
		if kind == 'Q' && strings.HasPrefix(string(msg[5:]), "COMMIT") {
			if take(&l.p.cutBefore) {
				return
			}
			l.silent.Store(take(&l.p.cutAfter))
		}
		if _, err := l.server.Write(msg); err != nil {
			return
		}
	}
}

func (l *link) back() {
	defer l.cut()
	for {
		kind, msg, err := readMessage(l.server, true)
		if err != nil {
			return
		}
		if kind == 'Z' {
			if l.silent.Load() {
				return
			}
			l.p.answers.Add(1)
		}
		if l.silent.Load() {
			continue
		}
		if _, err := l.client.Write(msg); err != nil {
			return
		}
	}
}

func readMessage(from io.Reader, typed bool) (kind byte, msg []byte, err error) {
	head := make([]byte, 5)
	if !typed {
		head = head[:4]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, err
	}
	if typed {
		kind = head[0]
	}
	rest := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
	_, err = io.ReadFull(from, rest)
	return kind, append(head, rest...), err
}

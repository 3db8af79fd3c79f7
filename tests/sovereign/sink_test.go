package sovereign

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sink is a place abroad where nothing must arrive. It takes every connection and counts.
type sink struct {
	addr         string
	conns, bytes atomic.Int64
}

// newSink listens at an address; nil where this process may not (a port below 1024 without the right to it).
func newSink(t *testing.T, addr string) *sink {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Logf("no sink at %s: %v", addr, err)
		return nil
	}
	s := &sink{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			wg.Go(func() { s.take(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return s
}

func (s *sink) take(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		s.bytes.Add(int64(n))
		if err != nil {
			return
		}
	}
}

func (s *sink) port() uint16 { return netip.MustParseAddrPort(s.addr).Port() }

// listen listens at an address.
func listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

// relay stands before a real server abroad and counts what comes in.
type relay struct{ sink }

// newRelay makes what live.Options.Relay wants.
func newRelay(t *testing.T, r *relay) func(string) string {
	return func(to string) string {
		host, _, _ := net.SplitHostPort(to)
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		r.addr = l.Addr().String()
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				r.conns.Add(1)
				go r.pass(conn, to)
			}
		}()
		return r.addr
	}
}

func (r *relay) pass(conn net.Conn, to string) {
	defer conn.Close()
	other, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer other.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := other.Read(buf)
			if _, e := conn.Write(buf[:n]); err != nil || e != nil {
				_ = conn.Close()
				return
			}
		}
	}()
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		r.bytes.Add(int64(n))
		if _, e := other.Write(buf[:n]); err != nil || e != nil {
			return
		}
	}
}

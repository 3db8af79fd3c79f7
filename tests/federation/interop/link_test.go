package interop

import (
	"io"
	"net"
	"sync"
	"testing"
)

// link stands before a server, at the address by which others know it, and can be cut. It may be used concurrently.
type link struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string
	isCut  bool
	open   map[net.Conn]bool
}

func newLink(t *testing.T) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{listener: l, open: map[net.Conn]bool{}}
	k.wg.Go(k.serve)
	t.Cleanup(func() {
		_ = l.Close()
		k.cut()
		k.wg.Wait()
	})
	return k
}

// name is the address by which others know what is behind the link.
func (k *link) name() string { return k.listener.Addr().String() }

// to sets where the link leads and gives its name.
func (k *link) to(target string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.target = target
	return k.name()
}

func (k *link) serve() {
	for {
		from, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.mu.Lock()
		target, isCut := k.target, k.isCut
		k.mu.Unlock()
		var onward net.Conn
		if !isCut {
			onward, err = net.Dial("tcp", target)
		}
		if isCut || err != nil || !k.take(from, onward) {
			k.drop(from, onward)
			continue
		}
		k.wg.Go(func() { k.pump(from, onward) })
		k.wg.Go(func() { k.pump(onward, from) })
	}
}

// take notes two connections as open, unless the link has been cut meanwhile.
func (k *link) take(a, b net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.isCut {
		return false
	}
	k.open[a], k.open[b] = true, true
	return true
}

func (k *link) pump(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	k.drop(to, from)
}

func (k *link) drop(conns ...net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
			delete(k.open, c)
		}
	}
}

// cut ends all connections and lets no new one through.
func (k *link) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.isCut = true
	for c := range k.open {
		_ = c.Close()
	}
	clear(k.open)
}

// mend lets connections through again.
func (k *link) mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.isCut = false
}

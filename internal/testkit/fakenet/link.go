package fakenet

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Link stands before a server, at the address by which others know it. It can be cut, made deaf or slow. It may be used concurrently.
type Link struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string
	mode   linkMode
	late   time.Duration
	open   map[net.Conn]bool
}

// linkMode is what a link does with connections.
type linkMode int

const (
	whole linkMode = iota
	cut
	deaf
)

// NewLink makes a link that leads nowhere yet, and ends with the test.
func NewLink(t testing.TB) *Link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &Link{listener: l, open: map[net.Conn]bool{}}
	k.wg.Go(k.serve)
	t.Cleanup(func() {
		_ = l.Close()
		k.Cut()
		k.wg.Wait()
	})
	return k
}

// Name is the address by which others know what is behind the link.
func (k *Link) Name() string { return k.listener.Addr().String() }

// To sets where the link leads and gives its name.
func (k *Link) To(target string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.target = target
	return k.Name()
}

// Cut ends all connections and lets no new one through.
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mode = cut
	for c := range k.open {
		_ = c.Close()
	}
	clear(k.open)
}

// Deafen lets what others ask through, but ends the connection instead of giving them the answer, so that they ask again.
func (k *Link) Deafen() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mode = deaf
}

// Slow lets each piece of a question or an answer wait so long; 0 ends that.
func (k *Link) Slow(by time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.late = by
}

// Mend lets everything through again, at once.
func (k *Link) Mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mode, k.late = whole, 0
}

func (k *Link) serve() {
	for {
		from, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.mu.Lock()
		target, isCut := k.target, k.mode == cut
		k.mu.Unlock()
		var onward net.Conn
		if !isCut {
			onward, err = net.Dial("tcp", target)
		}
		if isCut || err != nil || !k.take(from, onward) {
			k.drop(from, onward)
			continue
		}
		k.wg.Go(func() { k.pump(from, onward, true) })
		k.wg.Go(func() { k.pump(onward, from, false) })
	}
}

// take notes two connections as open, unless the link has been cut meanwhile.
func (k *Link) take(a, b net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mode == cut {
		return false
	}
	k.open[a], k.open[b] = true, true
	return true
}

// pump copies what one side says to the other, until either ends.
func (k *Link) pump(to, from net.Conn, answers bool) {
	defer k.drop(to, from)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		k.mu.Lock()
		lost, late := answers && k.mode == deaf, k.late
		k.mu.Unlock()
		if lost {
			return
		}
		if late > 0 {
			time.Sleep(late) // which is what it is for
		}
		if _, bad := to.Write(buf[:n]); bad != nil || err != nil {
			return
		}
	}
}

func (k *Link) drop(conns ...net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
			delete(k.open, c)
		}
	}
}

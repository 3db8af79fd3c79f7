package media

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Bounds of what the child knows of addresses.
const (
	verdictLife = time.Second     // how long an answer is good: a policy may change
	verdictTime = 2 * time.Second // how long one is waited for
	maxVerdicts = 10_000
	// maxStrangers bounds the addresses that are asked about in a second because a packet came that anybody could have sent in
	// their name. Whoever was admitted before is not counted.
	maxStrangers = 100
)

// judged asks the parent whether packets may go to an address. Nothing is sent there before the answer, nor without one.
// The question is a line on standard output, the answer one on standard input, since these two are there and nobody else has them.
type judged struct {
	out io.Writer
	now func() time.Time

	mu        sync.Mutex
	known     map[netip.Addr]*verdict
	swept     time.Time // when old verdicts were forgotten
	second    time.Time // since when strangers are counted
	strangers int
}

// verdict is an answer, once done is closed.
type verdict struct {
	asked time.Time
	done  chan struct{}
	yes   bool
}

func newJudged(out io.Writer) *judged {
	return &judged{out: out, now: time.Now, known: map[netip.Addr]*verdict{}}
}

// question and answers, as the two processes write them.
const (
	question = "may "
	yes, no  = "yes ", "no "
)

// may reports whether packets may go to an address; a nil one asks nobody.
func (j *judged) may(a netip.Addr) bool { return j.ask(a, false) }

// ask is may; of addresses that may be invented it asks about so many only.
func (j *judged) ask(a netip.Addr, invented bool) bool {
	if j == nil {
		return true
	}
	a = a.Unmap().WithZone("")
	v, first := j.find(a, invented)
	if first {
		_, _ = fmt.Fprintf(j.out, "%s%s\n", question, a) // a parent that is gone does not answer
	}
	select {
	case <-v.done:
		return v.yes
	default:
	}
	late := time.NewTimer(verdictTime)
	defer late.Stop()
	select {
	case <-v.done:
		return v.yes
	case <-late.C:
		return false
	}
}

// find gives the verdict about an address, and reports whether it is to be asked for.
func (j *judged) find(a netip.Addr, invented bool) (*verdict, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, old := j.now(), j.known[a]
	if old != nil && now.Sub(old.asked) < verdictLife {
		return old, false
	}
	v := &verdict{asked: now, done: make(chan struct{})}
	stranger := invented && (old == nil || !old.yes)
	if stranger && !j.another(now) || len(j.known) >= maxVerdicts && !j.sweep(now) {
		close(v.done)
		return v, false
	}
	j.known[a] = v
	return v, true
}

// another counts a stranger, and reports whether he may still be asked about in this second.
func (j *judged) another(now time.Time) bool {
	if now.Sub(j.second) >= time.Second {
		j.second, j.strangers = now, 0
	}
	j.strangers++
	return j.strangers <= maxStrangers
}

// sweep forgets old verdicts, and reports whether there is room for one more. Whoever sends from very many addresses, which he can
// invent, makes it neither grow nor search at each packet.
func (j *judged) sweep(now time.Time) bool {
	if now.Sub(j.swept) < verdictLife {
		return false
	}
	j.swept = now
	for old, v := range j.known {
		if now.Sub(v.asked) >= verdictLife {
			delete(j.known, old)
		}
	}
	return len(j.known) < maxVerdicts
}

// hear reads answers until there are no more.
func (j *judged) hear(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		text, admitted := strings.CutPrefix(lines.Text(), yes)
		a, err := netip.ParseAddr(strings.TrimPrefix(text, no))
		if err != nil {
			continue
		}
		j.mu.Lock()
		if v := j.known[a]; v != nil {
			select {
			case <-v.done: // it was answered before
			default:
				v.yes = admitted
				close(v.done)
			}
		}
		j.mu.Unlock()
	}
}

// mayIP is may for an address in the older form.
func (j *judged) mayIP(ip net.IP) bool {
	a, ok := netip.AddrFromSlice(ip)
	return ok && j.may(a)
}

// mayAddr is may for where something came from. A packet can come in anybody's name, a connection cannot.
func (j *judged) mayAddr(from net.Addr) bool {
	switch a := from.(type) {
	case *net.UDPAddr:
		return j.ask(a.AddrPort().Addr(), true)
	case *net.TCPAddr:
		return j.ask(a.AddrPort().Addr(), false)
	}
	return false
}

// judgedPackets does not hear those whom it may not answer.
type judgedPackets struct {
	net.PacketConn
	by *judged
}

// ReadFrom implements [net.PacketConn].
func (c judgedPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		if err != nil || c.by.mayAddr(from) {
			return n, from, err
		}
	}
}

// judgedListener takes no connection of those whom it may not answer. Its system has answered them, before anybody could be asked.
type judgedListener struct {
	net.Listener
	by *judged
}

// Accept implements [net.Listener].
func (l judgedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.by.mayAddr(c.RemoteAddr()) {
			return c, err
		}
		_ = c.Close()
	}
}

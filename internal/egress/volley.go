package egress

import (
	"context"
	"net"
	"sync"
	"time"
)

// maxPosted bounds the requests of a volley: what does not fit into the system's buffers would wait for the other side.
const maxPosted = 8 << 10

// Volley is requests that are written one after the other, each on the connection that is kept for its pool; whoever waits for an answer reads
// it. One goroutine writes; the answers may be read concurrently.
//
// Why beside [Egress.Exchange]: what is done for each exchange, a deadline of its own and somebody who watches the context, is done once.
type Volley struct {
	e    *Egress
	end  time.Time
	stop func() bool // nobody watches the context any more

	mu      sync.Mutex
	waiting []*Posted // whose answers are not read yet; nil where they are
	left    int
	whole   bool // nothing more is posted
	cut     bool // the context has ended
}

// Posted is a request that was written.
type Posted struct {
	v          *Volley
	at         int
	conn       net.Conn
	pool       string
	generation uint64
	reader     *reader // nil while nothing of the answer is there
}

// Volley begins one whose answers must be there in some time; when the context ends nobody waits for them any longer.
func (e *Egress) Volley(ctx context.Context, within time.Duration) *Volley {
	v := &Volley{e: e, end: time.Now().Add(within)}
	v.stop = context.AfterFunc(ctx, v.interrupt)
	return v
}

// Post writes a request on the connection that is kept for a pool. It gives nil when there is none that takes it at once.
func (v *Volley) Post(pool string, text []byte) *Posted {
	if len(text) > maxPosted {
		return nil
	}
	conn, generation := v.e.lines.take(pool)
	if conn == nil {
		return nil
	}
	p := &Posted{v: v, conn: conn, pool: pool, generation: generation}
	if conn.SetDeadline(v.end) != nil || !v.add(p) {
		_ = conn.Close()
		return nil
	}
	if _, err := conn.Write(text); err != nil {
		v.remove(p)
		_ = conn.Close()
		return nil
	}
	return p
}

// Done says that nothing more is posted.
func (v *Volley) Done() {
	v.mu.Lock()
	v.whole = true
	over := v.left == 0
	v.mu.Unlock()
	if over {
		v.stop()
	}
}

func (v *Volley) add(p *Posted) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cut {
		return false
	}
	p.at = len(v.waiting)
	v.waiting = append(v.waiting, p)
	v.left++
	return true
}

// remove takes a request out that has its answer or gets none. It reports whether the context has ended.
func (v *Volley) remove(p *Posted) (cut bool) {
	v.mu.Lock()
	v.waiting[p.at] = nil
	v.left--
	over, cut := v.whole && v.left == 0, v.cut
	v.mu.Unlock()
	if over {
		v.stop()
	}
	return cut
}

// interrupt has nobody wait any longer.
func (v *Volley) interrupt() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cut = true
	for _, p := range v.waiting {
		if p != nil {
			_ = p.conn.SetDeadline(time.Unix(1, 0))
		}
	}
}

// Answer reads the answer, as [Egress.Exchange] does; it is called once. [ErrNoWord] says that the connection had ended before there was any: the
// request may be made again.
func (p *Posted) Answer(limit int64) (Answer, error) {
	if p.reader == nil {
		p.reader = p.v.e.lines.reader(p.conn)
	}
	a, whole, err := p.reader.answer(limit)
	cut := p.end(whole && err == nil)
	switch {
	case err == nil:
		return a, nil
	case cut:
		return Answer{}, context.Canceled
	case !time.Now().Before(p.v.end):
		return Answer{}, context.DeadlineExceeded
	}
	return Answer{}, err
}

// end keeps the connection, or closes one that is not whole. It reports whether the context has ended.
func (p *Posted) end(whole bool) (cut bool) {
	p.dropReader()
	if cut = p.v.remove(p); cut || !whole {
		_ = p.conn.Close()
	} else {
		p.v.e.lines.keep(p.pool, p.conn, p.generation)
	}
	return cut
}

func (p *Posted) dropReader() {
	p.v.e.lines.giveBack(p.reader)
	p.reader = nil
}

package egress

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Bounds of the connections that [Egress.Exchange] keeps.
const (
	maxLines   = 1024
	lineTime   = 50 * time.Second // shorter than what most servers keep a connection for
	lineReader = 4 << 10
	maxInterim = 5 // interim answers before the answer
)

// lines are connections that wait for their next exchange, one for each server at most. Who waits costs neither a goroutine nor a buffer.
type lines struct {
	mu         sync.Mutex
	idle       map[string]idleLine
	generation uint64 // grows with each change of the judge's mind: what was opened before is not kept
	sweeper    *time.Timer
	closed     bool
	readers    sync.Pool // *reader
}

type idleLine struct {
	conn  net.Conn
	since time.Time
}

// Exchange makes one request of HTTP/1.1 to the context's target and gives the answer, whose body is bounded by limit.
// pool tells the target's connections from those to others. ask makes the text of the request, with its body; it is called when there is
// a connection, perhaps twice: a kept connection may turn out to be closed, so that the request must be one that may be repeated. The
// context must have a deadline.
//
// Why beside HTTP: one event goes to hundreds of servers, and net/http costs several times what the exchange itself does.
func (e *Egress) Exchange(ctx context.Context, pool string, ask func() ([]byte, error), limit int64) (Answer, error) {
	if conn, generation := e.lines.take(pool); conn != nil {
		a, err := e.exchangeOn(ctx, conn, pool, generation, ask, limit)
		if err == nil || !errors.Is(err, ErrNoWord) || ctx.Err() != nil {
			return a, err
		}
	}
	conn, generation, err := e.line(ctx)
	if err != nil {
		return Answer{}, err
	}
	return e.exchangeOn(ctx, conn, pool, generation, ask, limit)
}

// Ready opens a connection for the next [Egress.Exchange] with the context's target, unless one is kept.
func (e *Egress) Ready(ctx context.Context, pool string) error {
	if e.lines.has(pool) {
		return nil
	}
	conn, generation, err := e.line(ctx)
	if err != nil {
		return err
	}
	e.lines.keep(pool, conn, generation)
	return nil
}

// Kept reports whether a connection is kept for the next [Egress.Exchange] of a pool.
func (e *Egress) Kept(pool string) bool { return e.lines.has(pool) }

// line opens a connection to the context's target.
func (e *Egress) line(ctx context.Context) (net.Conn, uint64, error) {
	target, ok := ctx.Value(targetKey{}).(Target)
	if !ok {
		return nil, 0, errors.New("no target to dial")
	}
	generation := e.lines.now()
	plain, err := e.dialFirst(ctx, Intent{Kind: Federation, Server: target.Server, Tenant: target.Tenant}, target.Endpoints)
	if err != nil {
		return nil, 0, err
	}
	conn, err := e.handshake(ctx, plain, target.TLSName)
	return conn, generation, err
}

// ErrNoWord says that a connection ended before the other side said anything.
var ErrNoWord = errors.New("the connection ended before there was an answer")

// exchangeOn makes a request on a connection, and keeps or closes it.
func (e *Egress) exchangeOn(ctx context.Context, conn net.Conn, pool string, generation uint64, ask func() ([]byte, error), limit int64) (Answer, error) {
	end, _ := ctx.Deadline()
	if err := conn.SetDeadline(end); err != nil {
		return Answer{}, errors.Join(ErrNoWord, err, conn.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	a, whole, err := e.lines.exchange(conn, ask, limit)
	switch {
	case !stop() || err != nil || !whole:
		err = errors.Join(err, ignored(conn.Close()))
	default:
		e.lines.keep(pool, conn, generation)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return a, err
}

// ignored is no error: what a connection says that is closed anyway.
func ignored(error) error { return nil }

// exchange writes a request and reads the answer. whole says that the connection can serve again.
func (l *lines) exchange(conn net.Conn, ask func() ([]byte, error), limit int64) (a Answer, whole bool, err error) {
	text, err := ask()
	if err != nil {
		return Answer{}, false, err
	}
	if _, err := conn.Write(text); err != nil {
		return Answer{}, false, errors.Join(ErrNoWord, err)
	}
	r := l.reader(conn)
	defer l.giveBack(r)
	return r.answer(limit)
}

// take takes the connection that is kept for a pool; nil when there is none.
func (l *lines) take(pool string) (net.Conn, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, ok := l.idle[pool]
	if !ok {
		return nil, 0
	}
	delete(l.idle, pool)
	if time.Since(line.since) > lineTime {
		_ = line.conn.Close()
		return nil, 0
	}
	return line.conn, l.generation
}

// has reports whether a connection is kept for a pool.
func (l *lines) has(pool string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, ok := l.idle[pool]
	return ok && time.Since(line.since) <= lineTime
}

func (l *lines) now() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.generation
}

// keep keeps a connection for the next exchange. What cannot be kept is closed.
func (l *lines) keep(pool string, conn net.Conn, generation uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.idle[pool]; there || l.closed || generation != l.generation {
		_ = conn.Close()
		return
	}
	if l.idle == nil {
		l.idle = map[string]idleLine{}
	}
	for name, line := range l.idle { // Go's map order is random, so anyone may go
		if len(l.idle) < maxLines {
			break
		}
		_ = line.conn.Close()
		delete(l.idle, name)
	}
	l.idle[pool] = idleLine{conn, time.Now()}
	if l.sweeper == nil {
		l.sweeper = time.AfterFunc(lineTime, l.sweep)
	}
}

// sweep closes what has waited too long, and comes again while anything waits.
func (l *lines) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, line := range l.idle {
		if time.Since(line.since) > lineTime {
			_ = line.conn.Close()
			delete(l.idle, name)
		}
	}
	if l.sweeper = nil; len(l.idle) > 0 && !l.closed {
		l.sweeper = time.AfterFunc(lineTime/2, l.sweep)
	}
}

// renew closes what is kept, and has what is in use closed after it.
func (l *lines) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	l.drop()
}

// close closes what is kept, for good.
func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.drop()
	if l.sweeper != nil {
		l.sweeper.Stop()
	}
}

// drop closes what is kept; mu is held.
func (l *lines) drop() {
	for _, line := range l.idle {
		_ = line.conn.Close()
	}
	clear(l.idle)
}

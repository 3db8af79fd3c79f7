package egress

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// judged is a connection, or the attempt to make one, that knows what it was admitted for and counts what it carried.
type judged struct {
	net.Conn // nil until made
	judge    Judge
	intent   Intent
	permit   Permit // nil without a recorder
	open     *open
	cancel   context.CancelFunc // gives up the attempt

	mu             sync.Mutex // guards Conn and gone until the connection is handed out
	gone           bool
	sent, received atomic.Int64
	key            atomic.Pointer[string] // of the other's certificate, see [Outcome]; nil without TLS
	now            syscall.RawConn        // while a read does not wait; it is its reader's
	once           sync.Once
}

// open are the connections and attempts under way.
type open struct {
	mu  sync.Mutex
	all map[*judged]struct{}
}

func (o *open) add(c *judged) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[*judged]struct{}{}
	}
	o.all[c] = struct{}{}
}

func (o *open) remove(c *judged) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, c)
}

func (o *open) each(f func(*judged)) {
	o.mu.Lock()
	list := make([]*judged, 0, len(o.all))
	for c := range o.all {
		list = append(list, c)
	}
	o.mu.Unlock()
	for _, c := range list {
		f(c)
	}
}

// made takes the connection of a successful attempt, unless it was abandoned meanwhile.
func (c *judged) made(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Conn = conn
	return !c.gone
}

// abandon gives up an attempt or closes a connection. Closing waits for a write under way, which fails.
func (c *judged) abandon() {
	c.cancel()
	c.mu.Lock()
	c.gone = true
	conn := c.Conn
	c.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
}

// errClosed is the outcome of a dial that was under way when the way out was closed.
var errClosed = errors.New("the way out was closed")

// finish closes a connection, or gives up an attempt, and ends its entry in the record.
func (c *judged) finish() {
	c.mu.Lock()
	c.gone = true
	made := c.Conn != nil
	c.mu.Unlock()
	if made {
		_ = c.Close()
	} else {
		c.end(Outcome{Err: errClosed})
	}
}

// Read reads and counts.
func (c *judged) Read(b []byte) (n int, err error) {
	if c.now != nil {
		n, err = readNow(c.now, b)
	} else {
		n, err = c.Conn.Read(b)
	}
	c.received.Add(int64(n))
	return n, err
}

// Write writes and counts, if the judge would still open the connection.
// Why: connections are kept for further requests, and what was admitted yesterday may be refused today.
func (c *judged) Write(b []byte) (int, error) {
	if err := c.judge.Admit(context.Background(), c.intent); err != nil {
		return 0, errors.Join(err, c.Close())
	}
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// Close closes the connection and ends its entry in the record.
func (c *judged) Close() error {
	err := c.Conn.Close()
	o := Outcome{Sent: c.sent.Load(), Received: c.received.Load()}
	if key := c.key.Load(); key != nil {
		o.SPKI = *key
	}
	c.end(o)
	return err
}

// end ends the entry in the record, once.
func (c *judged) end(o Outcome) {
	c.once.Do(func() {
		c.cancel()
		c.open.remove(c)
		if c.permit != nil {
			c.permit.End(o)
		}
	})
}

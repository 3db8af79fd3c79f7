package egress

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// judged is a connection that knows what it was admitted for and counts what it carried.
type judged struct {
	net.Conn
	judge          Judge
	intent         Intent
	permit         Permit // nil without a recorder
	sent, received atomic.Int64
	once           sync.Once
}

// Read reads and counts.
func (c *judged) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
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
	c.once.Do(func() {
		if c.permit != nil {
			c.permit.End(Outcome{Sent: c.sent.Load(), Received: c.received.Load()})
		}
	})
	return err
}

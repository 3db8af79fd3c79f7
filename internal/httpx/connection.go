package httpx

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// clearListener hands out connections as [clearConn].
type clearListener struct {
	net.Listener
	hangups *hangups
}

// Accept waits for the next connection.
func (l *clearListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if s, ok := c.(socket); ok {
		return &clearConn{socket: s, hangups: l.hangups}, err
	}
	return c, err
}

// Close stops listening and looking after hangups: those of the connections that are left are noticed when they are written to.
func (l *clearListener) Close() error {
	err := l.Listener.Close()
	l.hangups.close()
	return err
}

// socket is a connection of TCP or a unix socket.
type socket interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// clearConn is a connection on which HTTP is spoken in the clear, once begun. Until then, and below TLS, it is just the socket.
//
// Why: to notice who hangs up, net/http reads one byte beside each request, by a goroutine of its own which it ends by two deadlines
// when the request has its answer. To a hundred who wait that is as much as what they are told. Here [hangups] looks after all
// connections, and that read finds nothing at once.
type clearConn struct {
	socket
	hangups *hangups
	fd      int
	gone    context.CancelFunc // nil: not begun
	lease   lease
	timed   atomic.Bool // there is a deadline for reading
}

// begin is called before the first request is read. The context ends when the client hangs up.
func (c *clearConn) begin(ctx context.Context) context.Context {
	ctx, c.gone = context.WithCancel(context.WithValue(ctx, leaseKey{}, &c.lease))
	if c.hangups.watch(c) != nil { // net/http looks after it as after any other
		c.hangups.forget(c)
		c.gone = nil
	}
	return ctx
}

// Read reads what has come. One byte without a deadline is what net/http asks for beside a request, and never else: heads and bodies
// have their time.
func (c *clearConn) Read(b []byte) (int, error) {
	if len(b) == 1 && c.gone != nil && !c.timed.Load() {
		return 0, nil
	}
	return c.socket.Read(b)
}

// ReadFrom writes what a reader gives; of a file the kernel sends the content. net/http asks for it.
func (c *clearConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.socket, r) }

// SetReadDeadline says until when may be read.
func (c *clearConn) SetReadDeadline(t time.Time) error {
	c.timed.Store(!t.IsZero())
	return c.socket.SetReadDeadline(t)
}

// SetWriteDeadline says until when may be written. Why never for ever: net/http takes deadlines away after each answer, and they
// are to last for several.
func (c *clearConn) SetWriteDeadline(t time.Time) error {
	if c.gone != nil && t.IsZero() {
		return nil
	}
	return c.socket.SetWriteDeadline(t)
}

// SetDeadline says until when may be read and written.
func (c *clearConn) SetDeadline(t time.Time) error {
	c.timed.Store(!t.IsZero())
	return c.socket.SetDeadline(t)
}

// Close closes the connection.
func (c *clearConn) Close() error {
	if c.gone != nil {
		c.hangups.forget(c)
	}
	return c.socket.Close()
}

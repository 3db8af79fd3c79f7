package httpx

import (
	"context"
	"net"
	"net/http"
	"time"
)

// A reader may be as slow as he likes while he reads: each piece of an answer has so much time at least. Who takes nothing
// for so long loses his connection, and with it the memory that his answer holds.
const (
	pieceTime = 60 * time.Second
	spareTime = 15 * time.Second // so much later a deadline is set, and not again before it is used up
	pieceSize = 64 << 10
)

// lease is until when a connection may be written to; zero: for ever. Why it is kept: who is answered twenty times a second
// needs no new deadline each time. It belongs to the request under way, since HTTP/1 has one at a time.
type lease struct{ until time.Time }

type leaseKey struct{}

// begin is what a server calls for each new connection.
func begin(ctx context.Context, c net.Conn) context.Context {
	if p, ok := c.(*proxyConn); ok {
		c = p.Conn
	}
	if clear, ok := c.(*clearConn); ok {
		return clear.begin(ctx)
	}
	return ctx
}

// leaseOf is the lease of a request's connection. Any other than a [clearConn] loses its deadline after each answer, and a stream
// of HTTP/2 has deadlines of its own: there each request has a lease of its own.
func leaseOf(req *http.Request) *lease {
	if l, ok := req.Context().Value(leaseKey{}).(*lease); ok {
		return l
	}
	return new(lease)
}

// SetWriteDeadline lets handlers set another deadline; it is in the way of no later answer.
func (x *exchange) SetWriteDeadline(until time.Time) error {
	x.lease.until = until
	return http.NewResponseController(x.ResponseWriter).SetWriteDeadline(until)
}

// renew gives what is written next one piece's time.
// Why at each write and never taken away: the server writes the last bytes of an answer after its handler has returned.
func (x *exchange) renew() {
	if now := time.Now(); x.lease.until.Sub(now) < pieceTime {
		_ = x.SetWriteDeadline(now.Add(pieceTime + spareTime)) // a writer without a connection has none
	}
}

// writePieces writes an answer piece by piece, each with its own time.
func (x *exchange) writePieces(b []byte) (written int, err error) {
	for {
		x.renew()
		n, err := x.ResponseWriter.Write(b[:min(len(b), pieceSize)])
		written += n
		if b = b[n:]; err != nil || len(b) == 0 {
			return written, err
		}
	}
}

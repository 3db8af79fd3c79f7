package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	// stale is how long a connection may rest before it is replaced unasked:
	// servers close idle ones, and a POST must not meet that moment.
	stale       = 20 * time.Second
	readBuffer  = 4 << 10
	maxResponse = 256 << 20
)

// Request is one exchange to make. Path starts with a slash and is escaped.
type Request struct {
	Method, Path, Token string
	Body                []byte        // JSON; nil: no body
	Timeout             time.Duration // for the whole exchange; 0: 60 s
	Raw                 bool          // Body is not JSON
}

// Response is an answer. Body is valid until the next exchange on the connection.
type Response struct {
	Status int
	Body   []byte
}

// Conn is one keep-alive connection, made at first need and replaced when it
// broke. It is for one goroutine at a time.
type Conn struct {
	addr Address
	nc   net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
	last time.Time
}

// NewConn returns a connection to addr that is opened by the first exchange.
func NewConn(addr Address) *Conn { return &Conn{addr: addr} }

// Close ends the connection; the next exchange would open another.
func (c *Conn) Close() {
	if c.nc != nil {
		_ = c.nc.Close()
		c.nc = nil
	}
}

// Do makes one exchange. When ctx ends, it returns ctx's error and the
// connection is closed. Any HTTP status is a result, not an error.
func (c *Conn) Do(ctx context.Context, r Request) (Response, error) {
	if err := ctx.Err(); err != nil {
		return Response{}, err
	}
	reused := c.nc != nil
	if reused && time.Since(c.last) > stale {
		c.Close()
		reused = false
	}
	res, err := c.exchange(ctx, r)
	if errors.Is(err, errClosedIdle) && reused && r.Method != "POST" && ctx.Err() == nil {
		res, err = c.exchange(ctx, r)
	}
	if err != nil {
		c.Close()
		if ctx.Err() != nil {
			return Response{}, ctx.Err()
		}
		return Response{}, fmt.Errorf("%s %.80s: %w", r.Method, r.Path, err)
	}
	return res, nil
}

// errClosedIdle: the server closed before the first byte of an answer.
var errClosedIdle = errors.New("connection closed before an answer")

func (c *Conn) exchange(ctx context.Context, r Request) (Response, error) {
	if err := c.open(ctx); err != nil {
		return Response{}, err
	}
	timeout := r.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	nc := c.nc
	if err := nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		c.Close()
		return Response{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.out = c.appendRequest(c.out[:0], r)
	if _, err := nc.Write(c.out); err != nil {
		c.Close()
		return Response{}, errors.Join(errClosedIdle, err)
	}
	res, keep, err := readResponse(c.in, &c.body)
	c.last = time.Now()
	if err != nil || !keep {
		c.Close()
	}
	return res, err
}

func (c *Conn) open(ctx context.Context) error {
	if c.nc != nil {
		return nil
	}
	d := net.Dialer{Timeout: 10 * time.Second}
	nc, err := d.DialContext(ctx, "tcp", c.addr.dial.String())
	if err != nil {
		return err
	}
	c.nc = nc
	if c.in == nil {
		c.in = bufio.NewReaderSize(nc, readBuffer)
	} else {
		c.in.Reset(nc)
	}
	return nil
}

func (c *Conn) appendRequest(b []byte, r Request) []byte {
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, c.addr.prefix...)
	b = append(b, r.Path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.addr.host...)
	if r.Token != "" {
		b = append(b, "\r\nAuthorization: Bearer "...)
		b = append(b, r.Token...)
	}
	if r.Body != nil {
		b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.Body)), 10)
	}
	b = append(b, "\r\n\r\n"...)
	return append(b, r.Body...)
}

// readN appends exactly n bytes of in to b.
func readN(in *bufio.Reader, b []byte, n int) ([]byte, error) {
	if n < 0 || len(b)+n > maxResponse {
		return b, errors.New("response too large")
	}
	if need := len(b) + n; cap(b) < need {
		grown := make([]byte, len(b), max(need, 2*cap(b)))
		copy(grown, b)
		b = grown
	}
	start := len(b)
	b = b[:start+n]
	_, err := io.ReadFull(in, b[start:])
	return b, err
}

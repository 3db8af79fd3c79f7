package egress

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
)

// Glance takes the answer if all of it is there, without waiting; it may be called again while it is not. An error says that there is more to it than
// a glance can tell: [Posted.Answer] does. After an answer or an error it is called no more.
//
// Why: one goroutine looks after hundreds of requests so, whose answers come at about the same time, and none is parked and woken for each.
func (p *Posted) Glance(limit int64) (a Answer, there bool, err error) {
	line, now, err := withoutWaiting(p.conn)
	if err != nil {
		return Answer{}, false, err
	}
	if p.reader == nil {
		p.reader = p.v.e.lines.reader(p.conn)
	}
	line.now = now
	for err == nil && !there {
		if _, err = p.reader.Peek(p.reader.Buffered() + 1); err == nil {
			a, there = p.reader.plain(limit)
		}
	}
	line.now = nil
	switch {
	case there:
		p.end(p.reader.Buffered() == 0)
		return a, true, nil
	case errors.Is(err, notYet{}) && p.reader.Buffered() == 0:
		p.dropReader()
		return Answer{}, false, nil
	}
	return Answer{}, false, errNotPlain
}

var (
	errNotPlain = errors.New("there is no whole plain answer")
	errWaits    = errors.New("the connection cannot be read without waiting")
)

// withoutWaiting finds what is below a connection, and how that is read.
func withoutWaiting(conn net.Conn) (*judged, syscall.RawConn, error) {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil, nil, errWaits
	}
	line, ok := secure.NetConn().(*judged)
	if !ok {
		return nil, nil, errWaits
	}
	socket, ok := line.Conn.(syscall.Conn)
	if !ok {
		return nil, nil, errWaits
	}
	now, err := socket.SyscallConn()
	return line, now, err
}

// readNow reads what is there.
func readNow(now syscall.RawConn, b []byte) (n int, err error) {
	over := now.Read(func(fd uintptr) bool {
		n, err = syscall.Read(int(fd), b)
		return true
	})
	switch {
	case over != nil:
		return 0, over
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, notYet{}
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// notYet says that nothing is there to be read at the moment. Why temporary: after such a failure crypto/tls goes on with what it has read.
type notYet struct{}

var _ net.Error = notYet{}

// Error implements error, Timeout and Temporary [net.Error].
func (notYet) Error() string   { return "nothing is there yet" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

package httpx

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// hangups notices which clients have closed their connections, all of them by one epoll.
type hangups struct {
	epoll *os.File
	mu    sync.Mutex
	conns map[int]*clearConn // by descriptor
	ended sync.WaitGroup
}

func newHangups() (*hangups, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // Why: so it can be waited for without a thread
		return nil, errors.Join(err, syscall.Close(fd))
	}
	h := &hangups{epoll: os.NewFile(uintptr(fd), "hangups"), conns: map[int]*clearConn{}}
	raw, err := h.epoll.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, h.epoll.Close())
	}
	h.ended.Go(func() { _ = raw.Read(h.look) }) // it ends when the file is closed
	return h, nil
}

func (h *hangups) close() {
	_ = h.epoll.Close()
	h.ended.Wait()
}

// watch looks after a connection from now on.
func (h *hangups) watch(c *clearConn) error {
	epoll, err := h.epoll.SyscallConn()
	if err != nil {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var reached, entered error
	err = raw.Control(func(fd uintptr) {
		c.fd = int(fd)
		h.mu.Lock()
		h.conns[c.fd] = c
		h.mu.Unlock()
		event := syscall.EpollEvent{Events: syscall.EPOLLRDHUP | syscall.EPOLLET&(1<<32-1), Fd: int32(fd)} //nolint:gosec // a descriptor
		reached = epoll.Control(func(epoll uintptr) {
			entered = syscall.EpollCtl(int(epoll), syscall.EPOLL_CTL_ADD, c.fd, &event)
		})
	})
	return errors.Join(err, reached, entered)
}

// forget is called before a connection is closed, so that its descriptor means no other's. The epoll forgets by itself.
func (h *hangups) forget(c *clearConn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns[c.fd] == c {
		delete(h.conns, c.fd)
	}
}

// look takes in what has happened, and waits for more.
func (h *hangups) look(epoll uintptr) (done bool) {
	var events [64]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(int(epoll), events[:], 0)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if n <= 0 {
			return false
		}
		for _, e := range events[:n] {
			h.mu.Lock()
			c := h.conns[int(e.Fd)]
			h.mu.Unlock()
			if c != nil && c.ended() {
				c.gone()
			}
		}
	}
}

// ended reports whether nothing more will come. Why not by the event alone: a request may have come right before the end, and is
// to be answered.
func (c *clearConn) ended() (ended bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	})
	return ended || err != nil
}

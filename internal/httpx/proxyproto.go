package httpx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// proxyListener takes the client's address from the PROXY protocol, version 2, by which load balancers that do not
// speak HTTP pass it on. Only trusted peers are asked for a header; from them it is required.
type proxyListener struct {
	net.Listener
	trusted []netip.Prefix
}

// Accept hands out connections whose header is read at first use, by the connection's own goroutine.
func (l *proxyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || !l.trusts(c.RemoteAddr()) {
		return c, err
	}
	return &proxyConn{Conn: c}, nil
}

func (l *proxyListener) trusts(peer net.Addr) bool {
	if peer.Network() == "unix" {
		return true
	}
	addrPort, err := netip.ParseAddrPort(peer.String())
	return err == nil && contains(l.trusted, addrPort.Addr().Unmap())
}

// proxyConn is a connection that starts with a PROXY header.
type proxyConn struct {
	net.Conn
	once   sync.Once
	client net.Addr
	err    error
}

// RemoteAddr is the client's address once the header has said it.
func (c *proxyConn) RemoteAddr() net.Addr {
	c.once.Do(c.readHeader)
	if c.client != nil {
		return c.client
	}
	return c.Conn.RemoteAddr()
}

// Read reads what follows the header.
func (c *proxyConn) Read(b []byte) (int, error) {
	c.once.Do(c.readHeader)
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(b)
}

// ReadFrom writes what a reader gives, as the connection below does it.
func (c *proxyConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// proxySignature opens every version 2 header.
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

// proxyMax bounds addresses and extensions together.
const proxyMax = 1024

func (c *proxyConn) readHeader() {
	_ = c.SetReadDeadline(time.Now().Add(headerTime))
	c.client, c.err = readProxyHeader(c.Conn)
	_ = c.SetReadDeadline(time.Time{})
	if c.err != nil {
		_ = c.Close()
	}
}

// readProxyHeader reads exactly one header. The address is nil for health checks of the proxy itself (LOCAL) and for
// families other than TCP over IP.
func readProxyHeader(r io.Reader) (net.Addr, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("proxy header: %w", err)
	}
	length := int(binary.BigEndian.Uint16(head[14:]))
	if string(head[:12]) != proxySignature || head[12]>>4 != 2 || length > proxyMax {
		return nil, errors.New("proxy header: not of version 2")
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("proxy header: %w", err)
	}
	if local := head[12]&0xf == 0; local {
		return nil, nil
	}
	switch family := head[13]; {
	case family == 0x11 && length >= 12:
		return proxyAddr(body[:4], body[8:10]), nil
	case family == 0x21 && length >= 36:
		return proxyAddr(body[:16], body[32:34]), nil
	case family == 0x11 || family == 0x21:
		return nil, errors.New("proxy header: addresses cut short")
	}
	return nil, nil
}

func proxyAddr(ip, port []byte) net.Addr {
	addr, _ := netip.AddrFromSlice(ip) // 4 or 16 bytes, by the callers
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port)))
}

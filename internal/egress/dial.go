package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Endpoint is a host to resolve, or an IP address, and a port.
type Endpoint struct {
	Host string
	Port uint16
}

// attemptTime bounds the attempt to reach one address, so that a dead one leaves time for the next.
const attemptTime = 6 * time.Second

// maxAddresses bounds how many addresses of one host are tried.
const maxAddresses = 6

// Dial connects to "host:port" after the judge has admitted the name and the address.
func (e *Egress) Dial(ctx context.Context, kind Kind, network, address string) (net.Conn, error) {
	to, err := splitEndpoint(address)
	if err != nil {
		return nil, err
	}
	return e.dialEndpoint(ctx, network, Intent{Kind: kind, Host: to.Host}, to.Port)
}

// dialFirst tries endpoints in order and gives the first connection.
func (e *Egress) dialFirst(ctx context.Context, i Intent, to []Endpoint) (net.Conn, error) {
	var errs []error
	for _, endpoint := range to {
		i.Host = endpoint.Host
		conn, err := e.dialEndpoint(ctx, "tcp", i, endpoint.Port)
		if err == nil {
			return conn, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return nil, errors.New("no address to dial")
	}
	return nil, errors.Join(errs...)
}

// dialEndpoint resolves a host and tries its addresses in order.
func (e *Egress) dialEndpoint(ctx context.Context, network string, i Intent, port uint16) (net.Conn, error) {
	if err := e.judge.Admit(ctx, i); err != nil {
		return nil, err
	}
	addrs, err := e.lookup(ctx, i.Host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, addr := range addrs[:min(len(addrs), maxAddresses)] {
		i.Addr = netip.AddrPortFrom(addr.Unmap(), port)
		conn, err := e.attempt(ctx, network, i)
		if err == nil {
			return conn, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// lookup gives the addresses of a host; an IP address is its own.
func (e *Egress) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	addrs, err := e.resolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("%s has no address", host)
	}
	return addrs, err
}

// LookupSRV looks up service records of a host whose name the judge admits.
func (e *Egress) LookupSRV(ctx context.Context, i Intent, service, host string) ([]*net.SRV, error) {
	if err := e.judge.Admit(ctx, i); err != nil {
		return nil, err
	}
	_, records, err := e.resolver.LookupSRV(ctx, service, "tcp", host)
	return records, err
}

// attempt dials one address, with the judge's verdict on just this address and an entry in the record.
func (e *Egress) attempt(ctx context.Context, network string, i Intent) (net.Conn, error) {
	if err := e.judge.Admit(ctx, i); err != nil {
		return nil, err
	}
	var permit Permit
	if e.recorder != nil {
		var err error
		if permit, err = e.recorder.Begin(ctx, i); err != nil {
			return nil, fmt.Errorf("record connection: %w", err)
		}
	}
	conn, err := e.connect(ctx, network, i.Addr.String())
	if err != nil {
		if permit != nil {
			permit.End(Outcome{Err: err})
		}
		return nil, err
	}
	return &judged{Conn: conn, judge: e.judge, intent: i, permit: permit}, nil
}

// handshake makes a TLS connection of a plain one. Spec: server-server-api/#tls
func (e *Egress) handshake(ctx context.Context, conn net.Conn, name string) (net.Conn, error) {
	// Why ServerName with an IP address too: then crypto/tls checks the certificate for it and sends no SNI.
	secure := tls.Client(conn, &tls.Config{ServerName: name, RootCAs: e.roots, MinVersion: tls.VersionTLS12})
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS with %s: %w", name, err), conn.Close())
	}
	return secure, nil
}

const handshakeTime = 10 * time.Second

func splitEndpoint(address string) (Endpoint, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return Endpoint{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Endpoint{}, fmt.Errorf("port %q: %w", port, err)
	}
	return Endpoint{host, uint16(n)}, nil
}

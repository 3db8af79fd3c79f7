package egress

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
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

// Dial connects to "host:port", or with the network "unix" to a socket on this machine, after the judge has admitted the name
// and the address.
func (e *Egress) Dial(ctx context.Context, kind Kind, network, address string) (net.Conn, error) {
	if network == "unix" {
		return e.attempt(ctx, network, Intent{Kind: kind, Host: address, Socket: true})
	}
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
	if _, err := e.examine(ctx, i); err != nil {
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

// Lookup gives the addresses of a host that nothing is sent to: of what we publish, where others go.
func (e *Egress) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return e.lookup(ctx, host)
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
	if _, err := e.examine(ctx, i); err != nil {
		return nil, err
	}
	_, records, err := e.resolver.LookupSRV(ctx, service, "tcp", host)
	return records, err
}

// attempt dials one address, with the judge's verdict on just this address and an entry in the record.
func (e *Egress) attempt(ctx context.Context, network string, i Intent) (net.Conn, error) {
	i, err := e.examine(ctx, i)
	if err != nil {
		return nil, err
	}
	var permit Permit
	if e.recorder != nil {
		if permit, err = e.recorder.Begin(ctx, i); err != nil {
			return nil, fmt.Errorf("record connection: %w", err)
		}
	}
	return e.connectTo(ctx, network, i, permit)
}

// connectTo dials what was admitted and recorded; permit may be nil.
func (e *Egress) connectTo(ctx context.Context, network string, i Intent, permit Permit) (net.Conn, error) {
	// Why not the caller's context alone: it ends with the request, the connection does not.
	dial, cancel := context.WithCancel(ctx)
	c := &judged{judge: e.judge, intent: i, permit: permit, open: &e.open, cancel: cancel}
	e.open.add(c)
	address := i.Addr.String()
	if i.Socket {
		address = i.Host
	}
	// Why again: what changed before the attempt was among those that are looked through has not reached it.
	if err := e.judge.Admit(ctx, i); err != nil {
		c.end(Outcome{Err: err})
		return nil, err
	}
	connect := e.connect
	if i.Kind == Federation || i.Kind == WellKnown || i.Kind == Media {
		connect = e.fedConnect
	}
	conn, err := connect(dial, network, address)
	if err == nil && !c.made(conn) {
		err = errors.Join(Refused("The policy changed while this connection was made, and it refuses it now."), conn.Close())
	}
	if err != nil {
		c.end(Outcome{Err: err})
		return nil, err
	}
	return c, nil
}

// examine asks the judge and keeps how it decided; a recorder that wants to hears of refusals.
func (e *Egress) examine(ctx context.Context, i Intent) (_ Intent, err error) {
	if judge, ok := e.judge.(Examiner); ok {
		i.Verdict, err = judge.Examine(ctx, i)
	} else {
		err = e.judge.Admit(ctx, i)
	}
	if w, ok := e.recorder.(Witness); ok && err != nil {
		w.Refused(ctx, i, err)
	}
	return i, err
}

// handshake makes a TLS connection of a plain one. Spec: server-server-api/#tls
func (e *Egress) handshake(ctx context.Context, conn net.Conn, name string) (net.Conn, error) {
	// Why ServerName with an IP address too: then crypto/tls checks the certificate for it and sends no SNI.
	// Why records of full size at once: a request is written as one, and each record is a write to the network of its own.
	secure := tls.Client(conn, &tls.Config{ServerName: name, RootCAs: e.roots, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true})
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS with %s: %w", name, err), conn.Close())
	}
	if c, ok := conn.(*judged); ok {
		// Why a certificate is there: without one that is valid there is no handshake.
		sum := sha256.Sum256(secure.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
		key := base64.StdEncoding.EncodeToString(sum[:])
		c.key.Store(&key)
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

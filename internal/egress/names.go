package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
)

// nameServers asks some name servers and no others, by connections that are judged and recorded like all the rest. Names are asked as
// they stand: no search list of the machine is tried.
type nameServers struct {
	net.Resolver
	e       *Egress
	servers []netip.AddrPort
	turn    atomic.Uint32
}

func newNameServers(e *Egress, servers []netip.AddrPort) *nameServers {
	r := &nameServers{e: e, servers: servers}
	r.PreferGo, r.Dial = true, r.dial
	return r
}

// dial connects to the next name server. Why each time the next: the library tries again when one does not answer.
func (r *nameServers) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	to := r.servers[int(r.turn.Add(1)-1)%len(r.servers)]
	conn, err := r.e.attempt(ctx, network, Intent{Kind: Names, Host: to.Addr().String(), Addr: to})
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(network, "udp") {
		return datagrams{conn}, nil
	}
	return conn, nil
}

// LookupNetIP implements [Resolver].
func (r *nameServers) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return r.Resolver.LookupNetIP(ctx, network, absolute(host))
}

// LookupSRV implements [Resolver].
func (r *nameServers) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	return r.Resolver.LookupSRV(ctx, service, proto, absolute(name))
}

func absolute(name string) string { return strings.TrimSuffix(name, ".") + "." }

// datagrams is a connection by whose methods the library sees that it carries whole messages.
type datagrams struct{ net.Conn }

// ReadFrom implements [net.PacketConn].
func (d datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := d.Read(b)
	return n, d.RemoteAddr(), err
}

// WriteTo implements [net.PacketConn]; it leads nowhere but to whom the connection was made.
func (d datagrams) WriteTo(b []byte, to net.Addr) (int, error) {
	if to.String() != d.RemoteAddr().String() {
		return 0, errors.New("this connection leads elsewhere")
	}
	return d.Write(b)
}

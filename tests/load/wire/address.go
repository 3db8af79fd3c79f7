// Package wire is the load program's HTTP/1.1 client: one connection per actor,
// one write per request, one buffer per response, no goroutines of its own. It
// exists because on a small machine the generator shares the processors with the
// server it measures. It speaks to loopback addresses and to nothing else.
package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Address is a homeserver's base URL after the check that it is on this machine.
type Address struct {
	dial   netip.AddrPort
	host   string // as given, for the Host header
	prefix string // path before /_matrix, usually empty
}

// ParseBase checks a base URL. It refuses every host that is not a loopback
// address, and a name that means anything else beside one.
func ParseBase(raw string) (Address, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Address{}, fmt.Errorf("base URL: %w", err)
	}
	if u.Scheme != "http" {
		return Address{}, fmt.Errorf("base URL %q: only http:// is measured (TLS would be the generator's cost as much as the server's)", raw)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Address{}, fmt.Errorf("base URL %q: only scheme, host, port and path are allowed", raw)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	ip, err := loopback(u.Hostname())
	if err != nil {
		return Address{}, fmt.Errorf("base URL %q: %w", raw, err)
	}
	dial, err := netip.ParseAddrPort(net.JoinHostPort(ip.String(), port))
	if err != nil {
		return Address{}, fmt.Errorf("base URL %q: %w", raw, err)
	}
	return Address{dial: dial, host: u.Host, prefix: strings.TrimSuffix(u.EscapedPath(), "/")}, nil
}

func loopback(host string) (netip.Addr, error) {
	// Why: "localhost" is not looked up; a resolver may say anything.
	if host == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, errors.New("the host must be a loopback address or localhost")
	}
	if !ip.IsLoopback() {
		return netip.Addr{}, errors.New("this program sends traffic to loopback addresses only")
	}
	return ip, nil
}

// String is the address for people.
func (a Address) String() string { return "http://" + a.host + a.prefix }

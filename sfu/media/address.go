package media

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// received are the addresses of this machine at which packets for its node_ip arrive, one for each: those that bind names,
// else node_ip itself, or behind a translation of addresses the only one there is.
//
// Why not all addresses of the machine: each has a socket of its own, all would be told as the one node_ip, and who is told
// would be known at but one of them, any of them; packets that arrive at another are dropped.
func received(node, bind []netip.Addr, local []netip.Addr) ([]netip.Addr, error) {
	var at []netip.Addr
	for _, a := range node {
		var of []netip.Addr // that it can be
		for _, b := range bind {
			if b.Is4() == a.Is4() {
				of = append(of, b)
			}
		}
		switch {
		case len(of) == 1 && !slices.Contains(local, of[0]):
			return nil, fmt.Errorf("bind_ip: this machine does not have the address %v", of[0])
		case len(of) == 1:
		case slices.Contains(local, a):
			of = []netip.Addr{a}
		default:
			of = reachable(local, a.Is4())
		}
		if len(of) != 1 {
			return nil, fmt.Errorf("node_ip: this machine does not have the address %v; name in bind_ip the one of its own at which packets for it arrive: %v", a, of)
		}
		at = append(at, of[0])
	}
	return at, nil
}

// reachable are the addresses of a family that others may reach.
func reachable(local []netip.Addr, four bool) []netip.Addr {
	var out []netip.Addr
	for _, a := range local {
		if a.Is4() == four && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			out = append(out, a)
		}
	}
	return out
}

// receiving are the addresses of this machine at which media is received.
func (s Settings) receiving() ([]netip.Addr, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var local []netip.Addr
	for _, i := range interfaces {
		if p, err := netip.ParsePrefix(i.String()); err == nil {
			local = append(local, p.Addr().Unmap())
		}
	}
	node, err := addresses(s.NodeIP)
	if err != nil {
		return nil, err
	}
	bind, err := addresses(s.BindIP)
	if err != nil {
		return nil, err
	}
	// Why 127.0.0.0/8 whole: all of it is this machine's, though an interface names one.
	for _, a := range slices.Concat(node, bind) {
		if a.Is4() && a.IsLoopback() && !slices.Contains(local, a) {
			return nil, fmt.Errorf("the media server receives nothing at %v: of the loopback addresses take 127.0.0.1", a)
		}
	}
	return received(node, bind, local)
}

func addresses(texts []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}

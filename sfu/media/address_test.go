package media

import (
	"net/netip"
	"slices"
	"testing"
)

// TestWhereMediaIsReceived: whoever is told node_ip is heard at that address alone, whatever else the machine has.
func TestWhereMediaIsReceived(t *testing.T) {
	list := func(texts ...string) []netip.Addr {
		out, err := addresses(texts)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	machine := list("127.0.0.1", "::1", "192.0.2.7", "172.17.0.1", "fe80::1", "2001:db8::7")
	for name, c := range map[string]struct {
		node, bind, local, want []netip.Addr
	}{
		"its own":             {list("192.0.2.7"), nil, machine, list("192.0.2.7")},
		"both families":       {list("192.0.2.7", "2001:db8::7"), nil, machine, list("192.0.2.7", "2001:db8::7")},
		"translated":          {list("203.0.113.1"), list("192.0.2.7"), machine, list("192.0.2.7")},
		"translated, one way": {list("203.0.113.1"), nil, list("127.0.0.1", "10.0.0.2"), list("10.0.0.2")},
		"translated, which?":  {list("203.0.113.1"), nil, machine, nil},
		"not here":            {list("203.0.113.1"), list("10.0.0.2"), machine, nil},
		"no such family":      {list("2001:db8::9"), nil, list("127.0.0.1", "10.0.0.2"), nil},
		"loopback":            {list("127.0.0.1"), nil, machine, list("127.0.0.1")},
	} {
		got, err := received(c.node, c.bind, c.local)
		if (err != nil) != (c.want == nil) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestOneSocketForEachAddress: LiveKit listens where packets arrive and nowhere else.
func TestOneSocketForEachAddress(t *testing.T) {
	s := settings()
	s.NodeIP = []string{"127.0.0.1"}
	c, err := s.livekitConfig()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.RTC.IPs.Includes, []string{"127.0.0.1/32"}) || !c.RTC.EnableLoopbackCandidate {
		t.Errorf("%+v", c.RTC.IPs)
	}
}

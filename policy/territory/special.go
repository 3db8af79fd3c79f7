package territory

import (
	"net/netip"
	"slices"
)

// special are networks that are nowhere, or lead elsewhere than their number says.
// Spec: IANA special-purpose address registries (RFC 6890); 6to4, Teredo and NAT64 carry other addresses within.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("5f00::/16"),
}

// Public reports whether an unmapped address belongs to the public internet.
func Public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Normal gives the address that is meant, and false for one that no connection may go to: with a zone, unspecified, multicast.
func Normal(a netip.Addr) (netip.Addr, bool) {
	a = a.Unmap()
	return a, a.IsValid() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
}

// The two parts of France, which differ in law: the overseas communities are outside the European Union's territory.
const (
	franceEU  = "FRGPMQGFREYTMF"
	franceCOM = "PMBLWFPFNCTF"
	unionEU   = "ATBEBGCYCZDEDKEEESFIFRGRHRHUIEITLTLULVMTNLPLPTROSESISK"
)

// Sets are the named territories that every policy knows.
func Sets() map[string][]Country {
	eu, com := countries(franceEU), countries(franceCOM)
	return map[string][]Country{
		"france":            slices.Concat(eu, com),
		"fr-metropole+drom": eu,
		"fr-com":            com,
		"european-union":    countries(unionEU),
		"union-and-france":  slices.Concat(eu, com, countries(unionEU)),
	}
}

func countries(s string) []Country {
	var list []Country
	for ; len(s) >= 2; s = s[2:] {
		list = append(list, Country{s[0], s[1]})
	}
	return list
}

// Lab is the made-up geography of tests: loopback networks as operators in several countries. It is for policies that say so,
// and it knows no address but these.
func Lab() *Data {
	d := &Data{Header: Header{Version: 1, Lab: true}, Digest: "lab"}
	for _, name := range []string{"lab-a", "lab-b", "lab-c"} {
		d.Sources = append(d.Sources, Source{Name: name, Family: name})
	}
	d.add4(0, Place{})
	for i, l := range []struct {
		country Country
		asn     uint32
	}{
		{Country{'F', 'R'}, 64510}, {Country{'F', 'R'}, 64511}, {Country{'U', 'S'}, 64512}, {Country{'R', 'E'}, 64513}, {Country{}, 0}, {Country{'D', 'E'}, 64515},
	} {
		p := Place{ASN: l.asn}
		for j := range d.Sources {
			p.Countries[j] = l.country
		}
		d.add4(127<<24|uint32(10+i)<<16, p)
	}
	d.add4(127<<24|16<<16, Place{})
	d.index()
	return d
}

func (d *Data) add4(start uint32, p Place) {
	d.v4, d.v4at = append(d.v4, start), append(d.v4at, uint32(len(d.places)))
	d.places = append(d.places, p)
}

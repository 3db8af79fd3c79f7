package egress

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"rempart/internal/matrix"
)

// AllowNames is a judge that admits connections on behalf of the Matrix servers in a list; "*" admits all of them. An
// empty list admits none. Private networks, this machine and other addresses that are not for the public are
// refused unless private is set. Names are compared without regard to case.
func AllowNames(names []string, private bool) Judge { return AllowHosts("federation", names, private) }

// AllowHosts is [AllowNames] for hosts that are no Matrix servers; section is the part of the configuration that the list stands
// in, for the sentences of refusals.
func AllowHosts(section string, names []string, private bool) Judge {
	j := allowNames{section: section, private: private, names: make([]string, len(names))}
	for i, n := range names {
		j.names[i] = strings.ToLower(n)
	}
	return j
}

type allowNames struct {
	section string
	names   []string
	private bool
}

// Admit implements [Judge].
func (j allowNames) Admit(_ context.Context, i Intent) error {
	name := strings.ToLower(string(i.Server))
	if name == "" {
		name = strings.ToLower(i.Host)
	}
	if !slices.Contains(j.names, "*") && !slices.Contains(j.names, name) {
		return Refused("This server does not talk to " + name + ": it is not in " + j.section + ".allow.")
	}
	if i.Addr.IsValid() && !j.private && !public(i.Addr.Addr()) {
		return Refused("The address of " + name + " is not a public one; " + j.section + ".allow_private would admit it.")
	}
	return nil
}

// Refused is the refusal of a judge; it reaches users as it stands.
func Refused(why string) *matrix.Error {
	return matrix.Forbidden(why)
}

// notPublic are networks that the flags of net/netip do not cover.
// Spec: IANA special-purpose address registries (RFC 6890).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),        // IPv4-compatible, among them :: and ::1
	netip.MustParsePrefix("64:ff9b::/96"), // NAT64: would lead to any IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4: likewise
	netip.MustParsePrefix("fec0::/10"),
}

// public reports whether an address belongs to the public internet.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	return !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}

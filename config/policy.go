package config

import (
	"net/netip"
	"os"
)

// Policy names the file that says where data may go. Without one, the short settings of federation, push and previews do.
type Policy struct {
	File      string   `key:"file"`
	Resolvers []string `key:"resolvers"`
}

// NameServers are the resolvers with their ports.
func (p Policy) NameServers() []netip.AddrPort {
	var out []netip.AddrPort
	for _, text := range p.Resolvers {
		if a, err := parseNameServer(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// From is the address that connections to other servers come from; the zero value leaves it to the machine.
func (f Federation) From() netip.Addr {
	a, _ := netip.ParseAddr(f.Source) // checked
	return a
}

func parseNameServer(text string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	return netip.ParseAddrPort(text)
}

// checkPolicy keeps one thing from being decided at two places.
func (c *Config) checkPolicy(say sayer) {
	for i, text := range c.Policy.Resolvers {
		if _, err := parseNameServer(text); err != nil {
			say("policy.resolvers[%d]: %q is no address such as 192.0.2.1 or 192.0.2.1:53.", i, text)
		}
	}
	if c.Policy.File == "" {
		return
	}
	if _, err := os.Stat(c.Policy.File); err != nil {
		say("policy.file: the file %s cannot be opened.", c.Policy.File)
	}
	for key, set := range map[string]bool{
		"federation.allow": len(c.Federation.Allow) > 0, "federation.allow_private": c.Federation.AllowPrivate, "push.allow": len(c.Push.Allow) > 0,
		"push.allow_private": c.Push.AllowPrivate, "previews.allow": len(c.Previews.Allow) > 0, "previews.allow_private": c.Previews.AllowPrivate,
	} {
		if set {
			say("%s: policy.file decides this; take it out here.", key)
		}
	}
}

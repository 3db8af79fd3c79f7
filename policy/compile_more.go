package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rempart/internal/matrix"
)

func (c *compiler) partners() {
	for i := range c.file.Partners {
		in := &c.file.Partners[i]
		place := fmt.Sprintf("partners[%d]", i)
		p := c.partner(place, in)
		name := strings.ToLower(in.Server)
		switch _, err := matrix.ParseServerName(in.Server); {
		case name == "*" && c.g.anyone == nil:
			c.g.anyone = p
			continue
		case name != "*" && err != nil:
			c.say("%s.server: %q is neither a server name nor \"*\".", place, in.Server)
		case name == "*" || c.g.partners[name] != nil:
			c.say("%s.server: %q is there twice.", place, in.Server)
		}
		c.g.partners[name] = p
	}
}

func (c *compiler) partner(place string, in *Partner) *partner {
	p := &partner{data: in.Allow, private: in.Private, networks: c.prefixes(place+".networks", in.Networks), keys: in.Keys}
	for _, host := range in.Endpoints {
		p.endpoints = append(p.endpoints, strings.ToLower(host))
	}
	if len(in.Allow) == 0 {
		p.data = Data()[:usualData]
	}
	for _, kind := range in.Allow {
		if !slices.Contains(Data(), kind) {
			c.say("%s.allow: %q is none of %s.", place, kind, strings.Join(Data(), ", "))
		}
	}
	var err error
	if p.until, err = parseDay(in.Until); err != nil {
		c.say("%s.until: %s.", place, err)
	}
	if in.Attestation != "" {
		c.attested(place, in, p)
	}
	return p
}

// attested takes what a partner's attestation says, where the policy itself says nothing stricter.
func (c *compiler) attested(place string, in *Partner, p *partner) {
	if c.read == nil {
		c.say("%s.attestation: cannot be read here.", place)
		return
	}
	b, err := c.read(in.Attestation)
	if err != nil {
		c.say("%s.attestation: the file %s cannot be read.", place, in.Attestation)
		return
	}
	a, err := c.file.Attestations.Check(b)
	if err != nil {
		c.say("%s.attestation: %s.", place, err)
		return
	}
	if !strings.EqualFold(a.Server, in.Server) {
		c.say("%s.attestation: it is that of %s.", place, a.Server)
	}
	p.from = a.NotBefore
	if p.until.IsZero() || a.NotAfter.Before(p.until) {
		p.until = a.NotAfter
	}
	if len(p.endpoints) == 0 {
		for _, host := range a.Endpoints {
			p.endpoints = append(p.endpoints, strings.ToLower(host))
		}
	}
	if len(p.networks) == 0 {
		p.networks = c.prefixes(place+".attestation.networks", a.Networks)
	}
	if len(p.keys) == 0 {
		p.keys = maps.Clone(a.Keys)
	}
}

func (c *compiler) outside() {
	for _, info := range Points() {
		if !info.Partner {
			c.g.outside[info.Point] = &outside{}
		}
	}
	for i, in := range c.file.Outside {
		o := c.g.outside[in.Point]
		if o == nil {
			c.say("outside[%d].point: %q is no point that is about a host.", i, in.Point)
			continue
		}
		o.private = o.private || in.Private
		for _, host := range in.Hosts {
			switch host = strings.ToLower(host); host {
			case "*":
				o.any = true
			case configured:
				o.configured = true
			case "":
				c.say("outside[%d].hosts: holds an empty name.", i)
			default:
				o.hosts = append(o.hosts, host)
			}
		}
	}
}

// registering lets users name the push gateways that may be spoken to, where the policy does not say which they may.
func (c *compiler) registering() {
	for _, in := range c.file.Outside {
		if in.Point == PushRegister {
			return
		}
	}
	c.g.outside[PushRegister] = c.g.outside[PushSend]
}

// tenants reads the overlays. An overlay is a policy of its own that must admit too; so it can only refuse more. What it does not
// speak of it leaves to the installation.
func (c *compiler) tenants() {
	for i, t := range c.file.Tenants {
		place := fmt.Sprintf("tenants[%d]", i)
		if c.read == nil {
			c.say("%s: overlays cannot be read here.", place)
			return
		}
		text, err := c.read(t.File)
		if err != nil {
			c.say("%s.file: %s cannot be read.", place, t.File)
			continue
		}
		f, err := parse(text)
		if err != nil {
			c.say("%s: %s", place, err)
			continue
		}
		if len(f.Tenants) > 0 || f.Mode != "" || len(f.Observe) > 0 || f.Territory.Data != "" || f.Territory.Lab {
			c.say("%s: an overlay has no tenants, mode, observe, territory.data or lab.", place)
		}
		f.Territory.Data, f.Territory.Keys, f.Territory.Lab = c.file.Territory.Data, c.file.Territory.Keys, c.file.Territory.Lab
		if len(f.Territory.Within) == 0 {
			f.Territory = c.file.Territory
		}
		if len(f.Outside) == 0 {
			f.Outside = c.file.Outside
		}
		if len(f.Partners) == 0 {
			f.Partners = c.file.Partners
		}
		overlay, err := compile(f, text, c.read)
		if err != nil {
			c.say("%s: %s", place, err)
			continue
		}
		c.g.tenants[matrix.ServerName(t.Server)] = overlay
	}
}

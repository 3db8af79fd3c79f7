package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rempart/policy/territory"
)

// Explain says step by step how facts are decided.
func (g *Generation) Explain(f Facts) []string {
	d := g.Decide(&f)
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	say("policy %s, data about addresses %s", g.Digest, orDash(g.Geo))
	if info := infoOf(f.Point); info != nil {
		say("%s: %s (%s)", f.Point, info.EN, f.who())
	}
	if p := g.partners[strings.ToLower(string(f.Server))]; f.Server != "" && p != nil {
		say("partner: may have %s; endpoints %s; networks %v; until %s", strings.Join(p.data, ", "), orDash(strings.Join(p.endpoints, ", ")), p.networks, day(p.until))
	} else if f.Server != "" && g.anyone != nil {
		say("no partner by name; the entry \"*\" applies")
	}
	if f.Addr.IsValid() && !g.anywhere {
		v := g.rules.Judge(f.Addr.Addr(), f.Now)
		say("address %s: %s, %s", f.Addr.Addr(), place(v), v.Rule)
		out = append(out, g.evidence(v, f.Now)...)
	}
	effect := "refused"
	switch {
	case d.Observed:
		effect = "admitted, since the policy only watches here; it would be refused"
	case d.Allowed:
		effect = "admitted"
	}
	say("%s by rule %s", effect, d.Rule)
	if d.Rule != RuleAllowed {
		en, fr := d.Words(&f)
		say("%s", en)
		say("%s", fr)
	}
	return out
}

// Whereabouts says where an address is at a time, and whether that is out of the territory. Without a territory nothing is, nor is an
// address of a private network.
func (g *Generation) Whereabouts(a netip.Addr, now time.Time) (words string, outside bool) {
	v := g.rules.Judge(a, now)
	return fmt.Sprintf("%s, %s", place(v), v.Rule), !g.anywhere && !v.OK && v.Rule != territory.RuleSpecial
}

// evidence is what each database says.
func (g *Generation) evidence(v territory.Verdict, now time.Time) []string {
	if g.rules.Data == nil {
		return []string{"  no data about addresses: only pins and internal networks pass"}
	}
	var out []string
	for i, s := range g.rules.Data.Sources {
		age := ""
		if now.Sub(s.Date) > g.rules.MaxAge && !g.rules.Data.Lab {
			age = ", too old to count"
		}
		out = append(out, fmt.Sprintf("  %s of %s says %s%s", s.Name, day(s.Date), v.Place.Countries[i], age))
	}
	if v.Pin != "" {
		out = append(out, "  pin "+v.Pin)
	}
	return out
}

func place(v territory.Verdict) string {
	if v.ASN == 0 {
		return v.Country.String() + ", network unknown"
	}
	return fmt.Sprintf("%s, AS%d %s (%s)", v.Country, v.ASN, orDash(v.Operator), orDash(v.Class))
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func day(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Format(time.DateOnly)
}

// Flip is a decision that another policy would make differently.
type Flip struct {
	Facts    Facts
	Was, Now Decision
	// Loosens reports that what was refused would be admitted.
	Loosens bool
}

// WhatIf compares two policies over facts.
func WhatIf(old, next *Generation, facts []Facts) []Flip {
	var flips []Flip
	for _, f := range facts {
		was, now := old.Decide(&f), next.Decide(&f)
		if was.Allowed != now.Allowed {
			flips = append(flips, Flip{f, was, now, now.Allowed})
		}
	}
	return flips
}

// Questions are facts about everybody whom either policy or the caller names: what to ask when policies are compared.
func Questions(now time.Time, servers []string, generations ...*Generation) []Facts {
	names, hosts := slices.Clone(servers), map[Point][]string{}
	for _, g := range generations {
		for name := range g.partners {
			names = append(names, name)
		}
		for point, o := range g.outside {
			hosts[point] = append(hosts[point], o.hosts...)
		}
	}
	names = append(names, "anyone.invalid")
	slices.Sort(names)
	var out []Facts
	for _, info := range Points() {
		list := append(hosts[info.Point], "anyone.invalid")
		if info.Partner {
			list = names
		}
		slices.Sort(list)
		for _, name := range slices.Compact(slices.Clone(list)) {
			out = append(out, questions(info, name, now)...)
		}
	}
	return out
}

package territory

import (
	"net/netip"
	"slices"
	"time"
)

// Rules say which addresses may be connected to. They never change once made and may be used concurrently.
type Rules struct {
	// Data may be nil: then only pins and internal networks pass.
	Data      *Data
	Operators Operators
	// Within are the countries that are admitted.
	Within map[Country]bool
	// Quorum is how many independent databases must agree; at least two.
	Quorum int
	// MaxAge is how old a database may be to count.
	MaxAge time.Duration
	// AnycastAllowed admits addresses that are at many places at once.
	AnycastAllowed bool
	// DenyClasses are classes of operators that are refused; AllowUnknown admits networks of which nobody knows whose they are.
	DenyClasses  []string
	AllowUnknown bool
	// DenyNets and DenyASNs are refused whatever else holds.
	DenyNets []netip.Prefix
	DenyASNs map[uint32]bool
	// Pins are addresses whose place somebody vouches for.
	Pins []Pin
	// Internal are the networks of one's own premises.
	Internal []netip.Prefix
	// Lab admits the lab geography, whose addresses are loopback ones.
	Lab bool
}

// Pin says where addresses are and who runs them, for what databases cannot know.
type Pin struct {
	ID       string
	Prefix   netip.Prefix
	Country  Country
	Class    string
	Operator string
	Until    time.Time // zero: no end
	// Contradiction admits a pin that a database contradicts.
	Contradiction bool
}

// The rules by which an address is admitted or refused.
const (
	RuleSpecial       = "territory.special"       // no address of the public internet
	RuleDenied        = "territory.denied"        // refused by name, network or operator
	RuleInternal      = "territory.internal"      // admitted: one's own premises
	RulePin           = "territory.pin"           // admitted: somebody vouches for it
	RuleContradiction = "territory.contradiction" // a pin that a database contradicts
	RuleNoData        = "territory.no-data"       // too few databases, or too old ones
	RuleAnycast       = "territory.anycast"       // at many places at once
	RuleOutside       = "territory.outside"       // databases say: elsewhere
	RuleUnknown       = "territory.unknown"       // a database does not know
	RuleOperator      = "operator.unknown"        // nobody knows whose network it is
	RuleClass         = "operator."               // + class: an operator of this class
	RuleInside        = "territory.inside"        // admitted: all databases say so
)

// Verdict says whether an address is admitted, by which rule, on what evidence.
type Verdict struct {
	OK       bool
	Rule     string
	Country  Country
	ASN      uint32
	Operator string
	Class    string
	Pin      string
	Place    Place
}

// Judge gives the verdict on an address at a time. It allocates nothing.
func (r *Rules) Judge(addr netip.Addr, now time.Time) Verdict {
	a, ok := Normal(addr)
	if !ok {
		return Verdict{Rule: RuleSpecial}
	}
	for _, p := range r.DenyNets {
		if p.Contains(a) {
			return Verdict{Rule: RuleDenied}
		}
	}
	for _, p := range r.Internal {
		if p.Contains(a) {
			return Verdict{OK: true, Rule: RuleInternal}
		}
	}
	lab := r.Lab && a.IsLoopback()
	if !lab && !Public(a) {
		return Verdict{Rule: RuleSpecial}
	}
	v := r.look(a)
	if v.ASN != 0 && r.DenyASNs[v.ASN] {
		v.Rule = RuleDenied
		return v
	}
	if i := r.pinned(a, now); i >= 0 {
		return r.byPin(v, &r.Pins[i])
	}
	return r.byData(v, now)
}

// look collects what the databases say.
func (r *Rules) look(a netip.Addr) Verdict {
	var v Verdict
	if r.Data == nil {
		return v
	}
	v.Place = r.Data.Find(a)
	v.ASN, v.Country = v.Place.ASN, v.Place.Countries[0]
	if o := r.Operators[v.ASN]; o != nil {
		v.Operator, v.Class = o.Name, o.Class
	}
	return v
}

func (r *Rules) pinned(a netip.Addr, now time.Time) int {
	return slices.IndexFunc(r.Pins, func(p Pin) bool {
		return p.Prefix.Contains(a) && (p.Until.IsZero() || now.Before(p.Until))
	})
}

// byPin believes who vouches, unless a database contradicts or the operator is of a class that is refused.
func (r *Rules) byPin(v Verdict, p *Pin) Verdict {
	for _, c := range v.Place.Countries {
		if c != (Country{}) && c != p.Country && !p.Contradiction {
			v.Rule = RuleContradiction
			return v
		}
	}
	v.Country, v.Pin = p.Country, p.ID
	if p.Class != "" {
		v.Class, v.Operator = p.Class, p.Operator
	}
	switch {
	case !r.Within[p.Country]:
		v.Rule = RuleOutside
	case slices.Contains(r.DenyClasses, v.Class):
		v.Rule = classRule(v.Class)
	default:
		v.OK, v.Rule = true, RulePin
	}
	return v
}

// byData wants all fresh databases to agree that the address is within.
func (r *Rules) byData(v Verdict, now time.Time) Verdict {
	fresh := 0
	v.Rule = ""
	if r.Data != nil {
		for i, s := range r.Data.Sources {
			if !r.fresh(s.Date, now) {
				continue
			}
			fresh++
			switch c := v.Place.Countries[i]; {
			case c == Country{}:
				if v.Rule == "" {
					v.Rule = RuleUnknown
				}
			case !r.Within[c]:
				v.Rule, v.Country = RuleOutside, c
			}
		}
	}
	switch {
	case fresh < max(2, r.Quorum):
		v.Rule = RuleNoData
	case v.Rule != "":
	case v.Place.Flags&Anycast != 0 && !r.AnycastAllowed:
		v.Rule = RuleAnycast
	case (v.ASN == 0 || !r.fresh(r.Data.Operators.Date, now)) && !r.AllowUnknown:
		v.Rule = RuleOperator
	case slices.Contains(r.DenyClasses, v.Class):
		v.Rule = classRule(v.Class)
	default:
		v.OK, v.Rule = true, RuleInside
	}
	return v
}

// classRule is the rule by which a class of operators is refused. Why no sum: the verdict allocates nothing.
func classRule(class string) string {
	switch class {
	case Extraterritorial:
		return RuleClass + Extraterritorial
	case Other:
		return RuleClass + Other
	case European:
		return RuleClass + European
	case National:
		return RuleClass + National
	}
	return RuleClass + Qualified
}

// fresh reports whether a database of a date counts. The lab's never grow old.
func (r *Rules) fresh(date, now time.Time) bool {
	return r.Data.Lab || now.Sub(date) <= r.MaxAge
}

// LabOperators are the operators of the lab geography, beside those of a policy.
func LabOperators() Operators { return labOperators() }

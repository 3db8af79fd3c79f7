package mail

import (
	"fmt"
	"strings"
)

// Rules say which addresses may be used here. The zero value allows every address.
type Rules struct {
	exact   map[Address]bool
	domains map[string]bool
	below   []string // ".example.org": every domain below it
}

// ParseRules reads rules: a whole address, a domain ("example.org", matching just that domain) or all domains below
// one ("*.example.org", without example.org itself). Each is compared with the whole of what it speaks of.
func ParseRules(texts []string) (Rules, error) {
	r := Rules{exact: map[Address]bool{}, domains: map[string]bool{}}
	for _, text := range texts {
		small := strings.ToLower(text)
		parent, wild := strings.CutPrefix(small, "*.")
		switch a, err := ParseAddress(small); {
		case err == nil:
			r.exact[a] = true
		case wild && validDomain(parent):
			r.below = append(r.below, "."+parent)
		case validDomain(small):
			r.domains[small] = true
		default:
			return Rules{}, fmt.Errorf("%q is neither an address nor a domain like example.org or *.example.org", text)
		}
	}
	return r, nil
}

// Any reports whether there are no rules.
func (r Rules) Any() bool { return len(r.exact)+len(r.domains)+len(r.below) == 0 }

// Allow reports whether an address may be used.
func (r Rules) Allow(a Address) bool {
	domain := a.Domain()
	if r.Any() || r.exact[a] || r.domains[domain] {
		return true
	}
	for _, parent := range r.below {
		if strings.HasSuffix(domain, parent) {
			return true
		}
	}
	return false
}

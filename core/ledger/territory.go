package ledger

import "net/netip"

// France are the countries, by their codes, of which France consists.
func France() []string {
	return []string{"FR", "GP", "MQ", "GF", "RE", "YT", "PM", "BL", "MF", "WF", "PF", "NC", "TF"}
}

// where says where a record's other end is.
type where int

const (
	inside   where = iota // in the territory
	here                  // on this machine or in its own network, where country data says nothing
	outside               // in another country
	unplaced              // nobody knows: to be taken as outside until somebody shows that it is not
)

// String is the word by which answers call it.
func (w where) String() string { return [...]string{"inside", "local", "outside", "unplaced"}[w] }

// place says where a record's other end is.
func (s *Service) place(r *Record) where { return placeOf(r, s.Territory) }

func placeOf(r *Record, territory []string) where {
	for _, cc := range territory {
		if r.CC == cc {
			return inside
		}
	}
	if r.CC != "" {
		return outside
	}
	if local(r.Addr) {
		return here
	}
	return unplaced
}

func local(addr string) bool {
	if addr == "unix" {
		return true
	}
	a, err := netip.ParseAddr(addr)
	if err != nil {
		p, err := netip.ParseAddrPort(addr)
		if err != nil {
			return false
		}
		a = p.Addr()
	}
	a = a.Unmap()
	return a.IsLoopback() || a.IsPrivate()
}

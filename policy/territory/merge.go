package territory

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// Ranges are the answers of one database: each range reaches to the next. An unknown country is a range too.
type Ranges struct {
	Source
	V4 []Range4
	V6 []Range6
	// Operators reports that numbers of networks and flags are known.
	Operators bool
}

// Range4 begins a range of IPv4 addresses.
type Range4 struct {
	Start uint32
	About
}

// Range6 begins a range of IPv6 addresses, by their first 64 bits.
type Range6 struct {
	Start uint64
	About
}

// About is what one database says.
type About struct {
	Country Country
	ASN     uint32
	Flags   uint8
}

// Merge puts databases together. Of each family the newest is asked for countries; the newest that knows operators is asked
// for these. Numbers of networks are kept where at least one database names one of the countries of interest, which keeps the
// file small: elsewhere nothing is admitted anyway. No countries of interest means all.
func Merge(built time.Time, interest []Country, all []Ranges) (*Data, error) {
	slices.SortStableFunc(all, func(a, b Ranges) int { return b.Date.Compare(a.Date) })
	m := merger{built: built, interest: interest, ids: map[Place]uint32{}, operators: -1}
	var data Data
	families := map[string]bool{}
	for _, r := range all {
		column := -1
		if !families[r.Family] {
			if column = len(data.Sources); column == MaxSources {
				return nil, errors.New("too many databases: at most four that are independent")
			}
			families[r.Family] = true
			data.Sources = append(data.Sources, r.Source)
		}
		if r.Operators && m.operators < 0 {
			m.operators, data.Operators = len(m.inputs), r.Source
		} else if column < 0 {
			continue
		}
		m.inputs, m.columns = append(m.inputs, r), append(m.columns, column)
	}
	if len(m.inputs) == 0 {
		return nil, errors.New("no database to build from")
	}
	data.Built = built
	lists4, lists6 := make([][]Range4, len(m.inputs)), make([][]Range6, len(m.inputs))
	for i, in := range m.inputs {
		lists4[i], lists6[i] = in.V4, in.V6
	}
	data.v4, data.v4at = sweep(&m, lists4, func(r Range4) (uint32, About) { return r.Start, r.About })
	data.v6, data.v6at = sweep(&m, lists6, func(r Range6) (uint64, About) { return r.Start, r.About })
	data.places = m.places
	data.index()
	return &data, nil
}

// merger interns what is said about ranges.
type merger struct {
	built     time.Time
	interest  []Country
	inputs    []Ranges
	columns   []int // where the country of an input goes, -1 for nowhere
	operators int   // the input that knows operators, -1 for none
	places    []Place
	ids       map[Place]uint32
}

// place puts the answers of all inputs together.
func (m *merger) place(answers []About) uint32 {
	var p Place
	wanted := len(m.interest) == 0
	for i, a := range answers {
		if c := m.columns[i]; c >= 0 {
			p.Countries[c] = a.Country
		}
		wanted = wanted || slices.Contains(m.interest, a.Country)
	}
	if m.operators >= 0 {
		p.Flags = answers[m.operators].Flags
		if wanted {
			p.ASN = answers[m.operators].ASN
		}
	}
	id, ok := m.ids[p]
	if !ok {
		id = uint32(len(m.places))
		m.ids[p], m.places = id, append(m.places, p)
	}
	return id
}

// sweep goes over all ranges from the lowest address up and joins neighbours of which the same is said.
func sweep[K cmp.Ordered, R any](m *merger, lists [][]R, of func(R) (K, About)) (starts []K, at []uint32) {
	next, now := make([]int, len(lists)), make([]About, len(lists))
	for {
		var least K
		found := false
		for i, list := range lists {
			if next[i] == len(list) {
				continue
			}
			if start, _ := of(list[next[i]]); !found || start < least {
				least, found = start, true
			}
		}
		if !found {
			return starts, at
		}
		for i, list := range lists {
			for next[i] < len(list) {
				start, about := of(list[next[i]])
				if start != least {
					break
				}
				now[i] = about
				next[i]++
			}
		}
		if id := m.place(now); len(at) == 0 || at[len(at)-1] != id {
			starts, at = append(starts, least), append(at, id)
		}
	}
}

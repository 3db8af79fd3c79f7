package territory

import (
	"fmt"
	"slices"
)

// The classes of operators, from the best on.
const (
	Qualified        = "qualified"        // qualified by the national security agency (SecNumCloud)
	National         = "national"         // under French law and control
	European         = "eu"               // under the law of another member of the European Union
	Other            = "other"            // known, and none of these
	Extraterritorial = "extraterritorial" // subject to a law that reaches beyond its country, wherever its machines stand
)

// Classes lists them.
func Classes() []string { return []string{Qualified, National, European, Other, Extraterritorial} }

// Operator is who runs networks.
type Operator struct {
	Name  string   `yaml:"name"`
	Class string   `yaml:"class"`
	ASNs  []uint32 `yaml:"asns"`
}

// Operators finds operators by the numbers of their networks.
type Operators map[uint32]*Operator

// MakeOperators checks a list and indexes it.
func MakeOperators(list []Operator) (Operators, error) {
	all := Operators{}
	for i := range list {
		o := &list[i]
		if o.Name == "" || !slices.Contains(Classes(), o.Class) {
			return nil, fmt.Errorf("operator %q: needs a name and a class of %v", o.Name, Classes())
		}
		for _, n := range o.ASNs {
			if n == 0 || all[n] != nil {
				return nil, fmt.Errorf("operator %q: the network AS%d is there twice, or 0", o.Name, n)
			}
			all[n] = o
		}
	}
	return all, nil
}

// labOperators are those of the lab geography.
func labOperators() Operators {
	all, _ := MakeOperators([]Operator{ // correct by construction
		{"Opérateur A (lab)", National, []uint32{64510, 64513}}, {"Operator B (lab)", Extraterritorial, []uint32{64511, 64512}},
		{"Betreiber C (lab)", European, []uint32{64515}},
	})
	return all
}

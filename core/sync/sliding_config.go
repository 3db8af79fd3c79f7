package sync

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"

	"rempart/internal/matrix"
)

const memberType = "m.room.member"

// stateElement chooses pieces of state by type and key.
type stateElement struct {
	Type    string `json:"t,omitempty"`
	Key     string `json:"k,omitempty"`
	AnyType bool   `json:"at,omitempty"`
	AnyKey  bool   `json:"ak,omitempty"`
}

func (e *stateElement) match(typ, key string) bool {
	return (e.AnyType || e.Type == typ) && (e.AnyKey || e.Key == key)
}

// exact reports whether the element names one piece of state.
func (e *stateElement) exact() bool { return !e.AnyType && !e.AnyKey }

// stateRule is what one rule of a request wants of a room's state. MSC4186, RequiredStateRequest
type stateRule struct {
	Include []stateElement `json:"i,omitempty"`
	Exclude []stateElement `json:"e,omitempty"`
	Lazy    bool           `json:"l,omitempty"`
}

// tidy bounds a rule and brings it into an order of its own, so that equal ones are told by their text.
func (r *stateRule) tidy() error {
	if len(r.Include)+len(r.Exclude) > maxStateElements {
		return matrix.InvalidParam("required_state has too many elements.")
	}
	for _, list := range []*[]stateElement{&r.Include, &r.Exclude} {
		for i := range *list {
			e := &(*list)[i]
			if len(e.Type) > maxSlidingName || len(e.Key) > maxSlidingName {
				return matrix.InvalidParam("required_state names a type or state key that is too long.")
			}
			if e.AnyType {
				e.Type = ""
			}
			if e.AnyKey {
				e.Key = ""
			}
		}
		slices.SortFunc(*list, func(a, b stateElement) int {
			return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Key, b.Key), order(a.AnyType, b.AnyType), order(a.AnyKey, b.AnyKey))
		})
		*list = slices.Compact(*list)
	}
	return nil
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// match reports whether the rule wants a piece of state, members that are loaded lazily aside. With lazy members, only
// what names the type wants them.
func (r *stateRule) match(typ, key string) bool {
	for i := range r.Include {
		e := &r.Include[i]
		if r.Lazy && typ == memberType && e.AnyType {
			continue
		}
		if e.match(typ, key) {
			return !slices.ContainsFunc(r.Exclude, func(x stateElement) bool { return x.match(typ, key) })
		}
	}
	return false
}

// Bits of a config beside its state: the extensions that hold for a room.
const (
	withReceipts = 1 << iota
	withAccount
	withTyping
)

// roomConfig is what all rules that match a room want of it together, but for the length of its timeline. It is immutable.
type roomConfig struct {
	sum   [16]byte
	text  []byte // JSON of the rules
	rules []stateRule
	ext   uint8
	lazy  bool
	// opaque: too large to be remembered; what it wanted is not known any more.
	opaque bool
}

// newConfig joins rules: what any of them wants is wanted. MSC4186, Combining room configs
func newConfig(rules []stateRule, ext uint8) *roomConfig {
	c := &roomConfig{ext: ext}
	texts := map[string]bool{}
	for _, r := range rules {
		text, _ := json.Marshal(r) // it has nothing that JSON cannot say
		if !texts[string(text)] {
			texts[string(text)] = true
			c.rules = append(c.rules, r)
		}
		c.lazy = c.lazy || r.Lazy
	}
	if slices.ContainsFunc(c.rules, func(r stateRule) bool { return !r.Lazy && r.match(memberType, "") && r.match(memberType, "@") }) {
		c.lazy = false // somebody wants all members
	}
	all := make([]string, 0, len(texts))
	for t := range texts {
		all = append(all, t)
	}
	slices.Sort(all)
	c.text = append(c.text, '[')
	for i, t := range all {
		if i > 0 {
			c.text = append(c.text, ',')
		}
		c.text = append(c.text, t...)
	}
	c.text = append(c.text, ']')
	h := sha256.Sum256(append([]byte{ext}, c.text...))
	c.sum = [16]byte(h[:16])
	return c
}

// wants reports whether a piece of state is wanted for itself.
func (c *roomConfig) wants(typ, key string) bool {
	for i := range c.rules {
		if c.rules[i].match(typ, key) {
			return true
		}
	}
	return false
}

// exact lists the pieces of state that are named one by one; all reports that these are all that is wanted.
func (c *roomConfig) exact() (list []matrix.StateTuple, all bool) {
	all = true
	seen := map[matrix.StateTuple]bool{}
	for i := range c.rules {
		for j := range c.rules[i].Include {
			e := &c.rules[i].Include[j]
			if !e.exact() {
				all = false
				continue
			}
			t := matrix.StateTuple{Type: e.Type, Key: e.Key}
			if !seen[t] && c.wants(t.Type, t.Key) {
				seen[t] = true
				list = append(list, t)
			}
		}
	}
	return list, all
}

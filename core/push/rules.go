package push

import (
	"encoding/json"
	"rempart/internal/matrix"
	"slices"
)

// Kind is one of the kinds of push rules.
type Kind string

// The kinds, in the order in which they are tried. Spec: client-server-api/#push-rules
const (
	Override Kind = "override"
	Content  Kind = "content"
	// PostContent holds rules of the server only. MSC4306
	PostContent Kind = "postcontent"
	Room        Kind = "room"
	Sender      Kind = "sender"
	Underride   Kind = "underride"
)

// Kinds lists all kinds in the order in which they are tried.
func Kinds() []Kind { return []Kind{Override, Content, PostContent, Room, Sender, Underride} }

// Condition must hold for a rule to match. What it says of itself depends on its kind.
type Condition struct {
	Kind    string          `json:"kind"`
	Key     string          `json:"key,omitempty"`
	Pattern *string         `json:"pattern,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"`
	Is      string          `json:"is,omitempty"`
	// Subscribed is what a condition on threads asks for. MSC4306
	Subscribed *bool `json:"subscribed,omitempty"`
}

// Rule is a push rule.
type Rule struct {
	ID         string            `json:"rule_id"`
	Default    bool              `json:"default"`
	Enabled    bool              `json:"enabled"`
	Conditions []Condition       `json:"conditions,omitempty"`
	Pattern    *string           `json:"pattern,omitempty"`
	Actions    []json.RawMessage `json:"actions"`
}

// MarshalJSON writes the conditions of rules that may have some even when there are none: clients expect the list.
func (r Rule) MarshalJSON() ([]byte, error) {
	type plain Rule
	if r.ID != masterRule {
		return json.Marshal(plain(r))
	}
	return json.Marshal(struct {
		plain
		Conditions []Condition `json:"conditions"`
	}{plain(r), []Condition{}})
}

// Ruleset is all rules of a user, each kind in order of priority.
type Ruleset struct {
	Override []Rule `json:"override"`
	Content  []Rule `json:"content"`
	// PostContent is there for users of thread subscriptions only. MSC4306
	PostContent []Rule `json:"postcontent,omitempty"`
	Room        []Rule `json:"room"`
	Sender      []Rule `json:"sender"`
	Underride   []Rule `json:"underride"`
}

// stored is the content of the account data m.push_rules.
type stored struct {
	Global Ruleset `json:"global"`
}

// ContentOf is a ruleset as the content of m.push_rules.
func ContentOf(r Ruleset) ([]byte, error) {
	for _, k := range Kinds() {
		if list := r.list(k); *list == nil && k != PostContent {
			*list = []Rule{}
		}
	}
	return json.Marshal(stored{r})
}

// parse reads what a user has stored and adds the default rules that it does not know yet.
func parse(user string, content []byte) (Ruleset, error) {
	var s stored
	if err := matrix.Decode(content, &s); err != nil {
		return Defaults(user), err
	}
	def := Defaults(user)
	for _, k := range []Kind{Override, Underride} {
		have := s.Global.list(k)
		for i, rule := range *def.list(k) {
			if s.Global.Find(k, rule.ID) != nil {
				continue
			}
			if rule.ID == masterRule {
				*have = slices.Insert(*have, 0, rule)
				continue
			}
			*have = slices.Insert(*have, placeAfter(*have, (*def.list(k))[:i]), rule)
		}
	}
	return s.Global, nil
}

// placeAfter is where a new default rule belongs: behind the last of those that come before it.
func placeAfter(have []Rule, before []Rule) int {
	for _, b := range slices.Backward(before) {
		if i := slices.IndexFunc(have, func(r Rule) bool { return r.ID == b.ID }); i >= 0 {
			return i + 1
		}
	}
	return len(have)
}

// list is the rules of a kind, nil for a kind that does not exist.
func (r *Ruleset) list(k Kind) *[]Rule {
	switch k {
	case Override:
		return &r.Override
	case Content:
		return &r.Content
	case PostContent:
		return &r.PostContent
	case Room:
		return &r.Room
	case Sender:
		return &r.Sender
	case Underride:
		return &r.Underride
	}
	return nil
}

// Find is a rule of the set, nil when there is none; changes to it change the set.
func (r *Ruleset) Find(k Kind, id string) *Rule {
	list := r.list(k)
	if list == nil {
		return nil
	}
	for i := range *list {
		if (*list)[i].ID == id {
			return &(*list)[i]
		}
	}
	return nil
}

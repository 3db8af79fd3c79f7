package push

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of what users may store.
const (
	maxRules  = 1000
	maxRuleID = 255
)

// NewRule is a rule as a client sets it. Before and After name the user's own rule that it is to stand beside; without
// them a new rule comes first, and one that is replaced stays where it is.
type NewRule struct {
	Kind          Kind
	Rule          Rule
	Before, After string
}

// Rules are all rules of a user.
func (s *Service) Rules(ctx context.Context, c *matrix.Caller) (Ruleset, error) {
	rules, _, err := s.read(ctx, c)
	return rules, err
}

// read gives the rules and what is stored of them.
func (s *Service) read(ctx context.Context, c *matrix.Caller) (Ruleset, []byte, error) {
	rules, content, err := s.readStored(ctx, c)
	if err != nil {
		return rules, content, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(ctx); err != nil {
		return rules, content, err
	}
	if p := s.users[c.UserNID]; p != nil {
		rules = p.withThreads(rules)
	}
	return rules, content, nil
}

func (s *Service) readStored(ctx context.Context, c *matrix.Caller) (Ruleset, []byte, error) {
	data, err := s.db.FindAccountData(ctx, c.UserNID, 0, "m.push_rules")
	if errors.Is(err, storage.ErrNotFound) {
		return Defaults(string(c.User)), nil, nil
	}
	if err != nil {
		return Ruleset{}, nil, err
	}
	rules, err := parse(string(c.User), data.Content)
	return rules, data.Content, err
}

// edit changes a user's rules, and begins anew when another device changed them meanwhile.
func (s *Service) edit(ctx context.Context, c *matrix.Caller, change func(*Ruleset) error) error {
	for {
		rules, stored, err := s.read(ctx, c)
		if err != nil {
			return err
		}
		if err := change(&rules); err != nil {
			return err
		}
		content, err := ContentOf(rules)
		if err != nil {
			return err
		}
		w := &storage.Change{}
		w.Guard(storage.AccountDataIs(c.UserNID, 0, "m.push_rules", stored))
		row := &storage.AccountDataRow{User: c.UserNID, Type: "m.push_rules", Content: content}
		row.At.Live = w.Live(storage.Live{Kind: storage.KindAccountData, User: c.UserNID, Value: row}) + 1
		w.Add(row)
		if err := s.db.Commit(ctx, w); !errors.Is(err, storage.ErrGuard) {
			return err
		}
	}
}

// Put adds a rule of the user's own, or replaces it. Spec: client-server-api/#put_matrixclientv3pushrulesglobalkindruleid
func (s *Service) Put(ctx context.Context, c *matrix.Caller, n NewRule) error {
	if err := n.check(); err != nil {
		return err
	}
	return s.edit(ctx, c, func(rules *Ruleset) error { return rules.put(n) })
}

func (n *NewRule) check() error {
	id := n.Rule.ID
	switch {
	case (&Ruleset{}).list(n.Kind) == nil, n.Kind == PostContent:
		return matrix.InvalidParam("There is no such kind of push rules.")
	case strings.HasPrefix(id, "."):
		return matrix.InvalidParam("Names of push rules that start with a dot are the server's.")
	case id == "" || len(id) > maxRuleID || strings.ContainsAny(id, `/\`):
		return matrix.InvalidParam("A push rule's name has 1 to 255 bytes and no slash or backslash.")
	case n.Kind == Content && n.Rule.Pattern == nil:
		return matrix.MissingParam("A content rule needs a pattern.")
	case n.Rule.Actions == nil:
		return matrix.MissingParam("A push rule needs actions.")
	}
	return nil
}

// put places a rule.
func (r *Ruleset) put(n NewRule) error {
	list := r.list(n.Kind)
	n.Rule.Default, n.Rule.Enabled = false, true
	is := func(id string) func(Rule) bool { return func(x Rule) bool { return x.ID == id } }
	if i := slices.IndexFunc(*list, is(n.Rule.ID)); i >= 0 {
		n.Rule.Enabled = (*list)[i].Enabled
		if n.Before == "" && n.After == "" {
			(*list)[i] = n.Rule
			return nil
		}
		*list = slices.Delete(*list, i, i+1)
	}
	if len(*list) >= maxRules {
		return matrix.InvalidParam("There are too many push rules.")
	}
	at := 0
	if n.Kind == Override && len(*list) > 0 && (*list)[0].ID == masterRule {
		at = 1 // the master rule comes before all
	}
	beside, after := n.Before, 0
	if beside == "" {
		beside, after = n.After, 1
	}
	if beside != "" {
		i := slices.IndexFunc(*list, is(beside))
		if i < 0 || (*list)[i].Default {
			return matrix.NewError(http.StatusBadRequest, matrix.CodeUnknown, "before/after rule not found: "+beside)
		}
		at = i + after
	}
	*list = slices.Insert(*list, at, n.Rule)
	return nil
}

// Delete removes a rule of the user's own. Spec: client-server-api/#delete_matrixclientv3pushrulesglobalkindruleid
func (s *Service) Delete(ctx context.Context, c *matrix.Caller, k Kind, id string) error {
	return s.edit(ctx, c, func(rules *Ruleset) error {
		rule := rules.Find(k, id)
		if rule == nil {
			return NoRule()
		}
		if rule.Default {
			return matrix.InvalidParam("A default rule cannot be removed; disable it instead.")
		}
		list := rules.list(k)
		*list = slices.DeleteFunc(*list, func(x Rule) bool { return x.ID == id })
		return nil
	})
}

// Change lets a function change one rule, default or not.
func (s *Service) Change(ctx context.Context, c *matrix.Caller, k Kind, id string, fn func(*Rule)) error {
	return s.edit(ctx, c, func(rules *Ruleset) error {
		rule := rules.Find(k, id)
		if rule == nil {
			return NoRule()
		}
		fn(rule)
		return nil
	})
}

// NoRule is the answer to a rule that does not exist.
func NoRule() error { return matrix.NotFound("There is no such push rule.") }

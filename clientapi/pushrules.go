package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/push"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// ruleBody is a push rule as a client sets it.
type ruleBody struct {
	Actions    []json.RawMessage `json:"actions"`
	Conditions []push.Condition  `json:"conditions"`
	Pattern    *string           `json:"pattern"`
}

// pushRuleRoutes adds push rules. Spec: client-server-api/#push-rules-api
func pushRuleRoutes(r *httpx.Router, s *push.Service) {
	const all, one = "/_matrix/client/v3/pushrules/", "/_matrix/client/v3/pushrules/global/{kind}/{ruleID}"
	route := func(spec string) httpx.Route { return httpx.Route{Access: httpx.User, R0: true, Spec: spec} }
	list := route("getPushRules")
	list.Unstable = []string{"/_matrix/client/v3/pushrules", "/_matrix/client/r0/pushrules"}
	httpx.Handle(r, "GET", all, list, func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
		rules, err := s.Rules(ctx, &c)
		if err != nil {
			return nil, err
		}
		return push.ContentOf(rules)
	})
	httpx.Handle(r, "GET", all+"global/", route("getPushRulesGlobal"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (push.Ruleset, error) {
			return s.Rules(ctx, &c)
		})
	httpx.Handle(r, "GET", one, route("getPushRule"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*push.Rule, error) {
			return findRule(ctx, s, c, p)
		})
	httpx.Handle(r, "PUT", one, route("setPushRule"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in ruleBody) (httpx.Empty, error) {
			return httpx.Empty{}, s.Put(ctx, &c, push.NewRule{
				Kind:   push.Kind(p.Var("kind")),
				Rule:   push.Rule{ID: p.Var("ruleID"), Actions: in.Actions, Conditions: in.Conditions, Pattern: in.Pattern},
				Before: p.Query().Get("before"), After: p.Query().Get("after"),
			})
		})
	httpx.Handle(r, "DELETE", one, route("deletePushRule"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, s.Delete(ctx, &c, push.Kind(p.Var("kind")), p.Var("ruleID"))
		})
	pushRuleParts(r, s, one, route)
}

// pushRuleParts adds the two parts of a rule that can be set by themselves, also on default rules.
func pushRuleParts(r *httpx.Router, s *push.Service, one string, route func(string) httpx.Route) {
	type enabled struct {
		Enabled *bool `json:"enabled"`
	}
	type actions struct {
		Actions []json.RawMessage `json:"actions"`
	}
	httpx.Handle(r, "GET", one+"/enabled", route("isPushRuleEnabled"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (enabled, error) {
			rule, err := findRule(ctx, s, c, p)
			if err != nil {
				return enabled{}, err
			}
			return enabled{&rule.Enabled}, nil
		})
	httpx.Handle(r, "PUT", one+"/enabled", route("setPushRuleEnabled"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in enabled) (httpx.Empty, error) {
			if in.Enabled == nil {
				return httpx.Empty{}, matrix.MissingParam("The field enabled is missing.")
			}
			return httpx.Empty{}, s.Change(ctx, &c, push.Kind(p.Var("kind")), p.Var("ruleID"), func(rule *push.Rule) { rule.Enabled = *in.Enabled })
		})
	httpx.Handle(r, "GET", one+"/actions", route("getPushRuleActions"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (actions, error) {
			rule, err := findRule(ctx, s, c, p)
			if err != nil {
				return actions{}, err
			}
			return actions{rule.Actions}, nil
		})
	httpx.Handle(r, "PUT", one+"/actions", route("setPushRuleActions"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in actions) (httpx.Empty, error) {
			if in.Actions == nil {
				return httpx.Empty{}, matrix.MissingParam("The field actions is missing.")
			}
			return httpx.Empty{}, s.Change(ctx, &c, push.Kind(p.Var("kind")), p.Var("ruleID"), func(rule *push.Rule) { rule.Actions = in.Actions })
		})
}

func findRule(ctx context.Context, s *push.Service, c matrix.Caller, p httpx.Path) (*push.Rule, error) {
	rules, err := s.Rules(ctx, &c)
	if err != nil {
		return nil, err
	}
	rule := rules.Find(push.Kind(p.Var("kind")), p.Var("ruleID"))
	if rule == nil {
		return nil, push.NoRule()
	}
	return rule, nil
}

package main

import (
	"context"
	"slices"
	"time"

	"rempart/adminapi"
	"rempart/internal/matrix"
	"rempart/policy"
)

// WhatIf implements [adminapi.Policy]: it asks both policies about everybody who is known, and the decisions of late again.
func (p policyAdmin) WhatIf(ctx context.Context, q adminapi.PolicySupposed) (adminapi.PolicyFlips, error) {
	out := adminapi.PolicyFlips{Flips: []adminapi.PolicyFlip{}}
	next, err := p.candidate(q.Policy)
	if err != nil {
		return out, matrix.BadJSON(err.Error()).Wrap(err)
	}
	known, err := p.db.ListServerNames(ctx)
	if err != nil {
		return out, err
	}
	names := []string{}
	for name := range known {
		names = append(names, string(name))
	}
	found, err := p.rooms.Found(ctx, "")
	if err != nil {
		return out, err
	}
	for _, f := range found {
		names = append(names, string(f.Server))
	}
	current := p.judge.policy.Current()
	facts := policy.Questions(time.Now(), names, current, next)
	for _, one := range p.judge.recent.list(maxRecent, func(*decided) bool { return true }) {
		facts = append(facts, one.facts)
	}
	out.Asked = len(facts)
	for _, flip := range policy.WhatIf(current, next, facts) {
		f := flipOf(&flip)
		if slices.Contains(out.Flips, f) {
			continue
		}
		if out.Flips = append(out.Flips, f); f.Loosens {
			out.Loosens++
		}
	}
	if out.Found, err = p.rooms.Would(ctx, supposed{p.judge, next}); err != nil || q.Since == 0 {
		return out, err
	}
	out.Replayed, err = p.replay(ctx, next, q.Since, q.Until)
	return out, err
}

// maxFlips bounds what is told of a replay.
const maxFlips = 1000

// replay judges what was recorded by another policy.
func (p policyAdmin) replay(ctx context.Context, next *policy.Generation, from, to int64) (*adminapi.PolicyReplay, error) {
	r, err := replayed(ctx, p.ledger, p.judge, from, to)
	if err != nil {
		return nil, err
	}
	out := &adminapi.PolicyReplay{Since: r.since, Records: r.records, Left: r.left, Flips: []adminapi.PolicyFlip{}}
	for _, f := range r.flips(p.judge.policy.Current(), next, time.Now()) {
		if f.Loosens {
			out.Admitted += f.records
		} else {
			out.Refused += f.records
		}
		if len(out.Flips) < maxFlips {
			one := flipOf(&f.Flip)
			one.Records = f.records
			out.Flips = append(out.Flips, one)
		}
	}
	return out, nil
}

func flipOf(f *policy.Flip) adminapi.PolicyFlip {
	return adminapi.PolicyFlip{Point: string(f.Facts.Point), Server: f.Facts.Server, Host: f.Facts.Host, Data: f.Facts.Data,
		Tenant: f.Facts.Tenant, Was: f.Was.Rule, Now: f.Now.Rule, Loosens: f.Loosens}
}

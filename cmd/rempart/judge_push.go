package main

import (
	"context"
	"net/url"
	"time"

	"rempart/core"
	"rempart/policy"
)

// namedGateways lets users name the push gateways that the policy lets them name, of those that may be spoken to.
type namedGateways struct {
	core.PushGateway
	judge *judge
}

// Admit implements [core.PushGateway].
func (g namedGateways) Admit(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	f := policy.Facts{Point: policy.PushRegister, Host: u.Hostname(), Now: time.Now()}
	if d := g.judge.policy.Decide(&f); !d.Allowed || d.Observed {
		if err := g.judge.note(ctx, &f, &d, decisionID()); err != nil {
			return err
		}
	}
	return g.PushGateway.Admit(ctx, address)
}

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
	if d := g.judge.decide(&f); !d.Allowed || d.Observed {
		if err := g.judge.note(ctx, &f, &d, decisionID()); err != nil {
			return err
		}
	}
	return g.PushGateway.Admit(ctx, address)
}

// refusesGateway reports whether the policy refuses a push gateway by its name, "host" or "host:port". Nothing is recorded.
func (j *judge) refusesGateway(host string) bool {
	u := url.URL{Host: host}
	for _, point := range []policy.Point{policy.PushRegister, policy.PushSend} {
		f := policy.Facts{Point: point, Host: u.Hostname(), Now: time.Now()}
		if d := j.decide(&f); !d.Allowed {
			return true
		}
	}
	return false
}

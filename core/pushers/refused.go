package pushers

import "context"

// refusedReason is why a pusher waits whose gateway the policy refuses. It is kept, so that nobody is told twice.
const refusedReason = "the policy refuses this gateway"

// News is what the owner of a pusher should know: his gateway is refused by another policy than that by which he set it, or admitted again.
type News struct {
	// User is whose pusher it is, Gateway the host.
	User    int64
	Gateway string
	Refused bool
}

// judgeAll judges all gateways by the policy in force, and sees what that means for their pushers.
func (d *dispatch) judgeAll(ctx context.Context) {
	for _, g := range d.gates {
		d.judge(ctx, g)
	}
	told := map[News]bool{}
	for _, list := range d.users {
		for _, p := range list {
			d.compare(p, told)
		}
	}
}

// compare notes that a pusher waits for a policy that admits its gateway, or does not any more; its user is told once for each gateway.
func (d *dispatch) compare(p *pusher, told map[News]bool) {
	if p.gate.shut == (p.reason == refusedReason) {
		return
	}
	if p.gate.shut {
		p.reason, p.since, p.retry = refusedReason, d.Clock().UnixMilli(), 0
	} else {
		p.reason, p.since, p.retry = "", 0, 0
	}
	d.unsaved[p] = true
	n := News{User: p.user, Gateway: p.gate.host, Refused: p.gate.shut}
	if d.Tell != nil && !told[n] {
		told[n] = true
		d.Tell(n)
	}
}

// Refused counts the pushers that wait for a policy that admits their gateways, by gateway.
func (s *Service) Refused(ctx context.Context) (map[string]int64, error) {
	byURL, err := s.DB.CountPushersFailing(ctx, refusedReason)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for address, n := range byURL {
		out[hostOf(address)] += n
	}
	return out, nil
}

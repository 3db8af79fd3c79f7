package sender

import (
	"context"
	"time"

	"rempart/core/ledger"
	"rempart/federation/client"
	"rempart/internal/matrix"
)

// usualTides are the pauses after which the answers that are there are read, all by one goroutine. Whoever has not answered after the last gets a
// goroutine that waits for him.
//
// Why not one for each at once: one event has hundreds of answers, most of which come within the same moments, and to be parked and woken for each costs
// more than to read it. What an answer that is read later delays is only what comes next for the same server, and that cuts the tides short.
func usualTides() []time.Duration {
	return []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond}
}

// worthATide is how many answers must be awaited for that; for fewer one waits as usual.
const worthATide = 8

// posted is a transaction under way and its entry in the record.
type posted struct {
	d      *destination
	permit ledger.Permit
}

// result is how a request ended.
type result struct {
	d   *destination
	err error
}

// hurry has nobody wait for the next tide: something new is to be sent.
func (p *dispatch) hurry() {
	close(p.news)
	p.news = make(chan struct{})
}

// dispatched sends what is signed and sees to the answers.
func (p *dispatch) dispatched(ctx context.Context, list []*destination, permits []ledger.Permit, news <-chan struct{}) {
	deliveries := make([]*client.Delivery, 0, len(list))
	for _, d := range list {
		deliveries = append(deliveries, d.delivery)
	}
	p.Client.Post(ctx, deliveries)
	var left []posted
	for i, d := range list {
		if one := (posted{d, permits[i]}); d.delivery.Posted() {
			left = append(left, one)
		} else {
			p.crew.do(func() { p.deliver(ctx, one) })
		}
	}
	for _, one := range p.gather(ctx, left, news) {
		p.crew.do(func() { p.deliver(ctx, one) })
	}
}

// gather takes in the answers of some tides, and gives whom to wait for.
func (p *dispatch) gather(ctx context.Context, list []posted, news <-chan struct{}) []posted {
	for _, pause := range p.Tides {
		if len(list) < worthATide {
			break
		}
		next := time.NewTimer(pause)
		select {
		case <-next.C:
			list = p.tide(ctx, list)
			continue
		case <-news:
		case <-ctx.Done():
		}
		next.Stop()
		return p.tide(ctx, list)
	}
	return list
}

// tide takes in the answers that are there, and gives whom to look after again.
func (p *dispatch) tide(ctx context.Context, list []posted) (left []posted) {
	var there []result
	for _, one := range list {
		refused, over, err := p.Client.Glance(one.d.delivery)
		switch {
		case over:
			there = append(there, p.concluded(one, refused, err))
		case err != nil:
			p.crew.do(func() { p.deliver(ctx, one) })
		default:
			left = append(left, one)
		}
	}
	if len(there) > 0 {
		p.results <- there
	}
	return left
}

// deliver hands a transaction over, or waits for the answer to what was handed over, and says how that ended.
func (p *dispatch) deliver(ctx context.Context, one posted) {
	refused, err := p.tell(ctx, one.d)
	p.results <- []result{p.concluded(one, refused, err)}
}

// concluded notes what became of a transaction.
func (p *dispatch) concluded(one posted, refused map[matrix.EventID]string, err error) result {
	one.permit.End(outcomeOf(one.d, err))
	for id, why := range refused {
		p.Log.Debug("another server refused an event", "server", one.d.Server, "event", id, "reason", why)
	}
	return result{one.d, err}
}

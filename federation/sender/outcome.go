package sender

import (
	"context"
	"net/http"
	"slices"
	"time"

	"rempart/federation/client"
	"rempart/storage"
)

// finished takes in how requests ended.
func (p *dispatch) finished(list []result) {
	for _, r := range list {
		p.ended(r)
	}
}

func (p *dispatch) ended(r result) {
	d := r.d
	p.underWay--
	if d.retrying {
		p.failing--
	}
	spoke, rooms := d.spoke, d.manifest.rooms
	d.inFlight, d.retrying, d.spoke, d.there, d.delivery, d.body, d.manifest = false, false, false, false, nil, nil, manifest{}
	switch {
	case r.err == nil:
		p.arrived(d)
		p.reached(d, rooms)
	case p.calls.Err() != nil: // what this node itself cut when it stopped says nothing about the other server
	case refusedForGood(r.err) && d.Since != 0 && p.Clock().UnixMilli()-d.Since > givenUp.Milliseconds():
		// Why: a transaction that a server never takes would keep everything behind it.
		p.Log.Error("another server does not take a transaction: it is left out", "server", d.Server, "error", r.err)
		p.arrived(d)
	default:
		if p.failed(d, r.err); spoke {
			d.Retry = 0 // it has come back while the request was failing
		}
	}
	if !d.idle() && (d.Since == 0 || d.Retry == 0) { // else its time comes
		p.mark(d)
	}
}

// givenUp is how long a transaction is offered to a server that answers that it is wrong.
const givenUp = 10 * time.Minute

func refusedForGood(err error) bool {
	e, ok := client.AsRemote(err)
	return ok && (e.Status == http.StatusBadRequest || e.Status == http.StatusRequestEntityTooLarge)
}

// arrived notes that a transaction was taken.
func (p *dispatch) arrived(d *destination) {
	d.land()
	d.Pos = max(d.Pos, d.FlightPos)
	d.Txn, d.Flight = "", nil
	p.stats.transactions.Add(1)
	if d.Since != 0 {
		p.returned(d.Server)
		d.unwatch()
	}
	d.Since, d.Retry, d.Reason = 0, 0, ""
	d.Success = p.Clock().UnixMilli()
	p.unsaved[d] = true
}

// failed leaves a destination alone for a while.
func (p *dispatch) failed(d *destination, err error) {
	now := p.Clock()
	p.stats.failures.Add(1)
	d.land()
	d.behind = true
	if d.Since == 0 {
		d.Since = now.UnixMilli()
		p.Log.Info("another server cannot be reached", "server", d.Server, "error", err)
	}
	wait := backOff(now.Sub(time.UnixMilli(d.Since)))
	if e, ok := client.AsRemote(err); ok {
		wait = max(wait, e.RetryAfter())
	}
	d.Retry = now.Add(wait).UnixMilli()
	if wait < savesWithin {
		p.early.Reset(wait + time.Millisecond)
	}
	if d.Reason = err.Error(); len(d.Reason) > 300 {
		d.Reason = d.Reason[:300]
	}
	d.forgetTold()
	p.unsaved[d] = true
}

// catchUp reads again what a destination could not be queued: all of it, a queue's length at a time. Of a server that failed and missed
// much only the newest event of each room is sent: it fetches from there what it wants. Messages that must arrive are all sent.
func (p *dispatch) catchUp(ctx context.Context, d *destination) error {
	after, part := d.read, int64(maxPart)
	if d.behind {
		after = d.Pos // what is queued is read again with what is not
	}
	var c missed
	for {
		page, err := p.DB.ListOutbox(ctx, after, part, p.pos, pageSize)
		if err != nil {
			return err
		}
		for _, row := range page {
			set, err := p.set(ctx, row.TargetsID())
			if err != nil {
				return err
			}
			if row.Targets = set; d.concerns(row) {
				c.add(row)
			}
		}
		if len(page) < pageSize {
			after, d.lost = p.pos, false
			break
		}
		after, part = page[len(page)-1].Pos, page[len(page)-1].Part
		if !d.behind && len(c.rows) >= maxQueue {
			// Why up to before it: rows of one position are never parted, and there may be more of the last one.
			if n := slices.IndexFunc(c.rows, func(row *storage.OutboxRow) bool { return row.Pos == after }); n != 0 {
				if n > 0 {
					c.rows = c.rows[:n]
				}
				after--
				break
			}
		}
		if d.behind && c.events > 2*wholeCatchUp {
			c.thin() // so that the work takes no more room than what is sent
		}
	}
	if d.behind && c.events > wholeCatchUp {
		c.thin()
	}
	d.queue, d.read = c.rows, after
	d.queued = max(d.queued, after)
	return nil
}

// missed are rows that a destination has not been told.
type missed struct {
	rows   []*storage.OutboxRow
	events int
}

func (m *missed) add(row *storage.OutboxRow) {
	if m.rows = append(m.rows, row); row.EDU == "" {
		m.events++
	}
}

// thin keeps of events the newest of each room.
func (m *missed) thin() {
	newest := map[int64]*storage.OutboxRow{}
	for _, row := range m.rows {
		if row.EDU == "" {
			newest[row.Room] = row
		}
	}
	m.rows = slices.DeleteFunc(m.rows, func(row *storage.OutboxRow) bool { return row.EDU == "" && newest[row.Room] != row })
	m.events = len(newest)
}

// maxPart is behind every row of a position.
const maxPart = 1 << 62

package sender

import (
	"context"
	"net/http"
	"time"

	"rempart/federation/client"
	"rempart/storage"
)

// finished takes in how a request ended.
func (p *dispatch) finished(r result) {
	d := r.d
	p.underWay--
	if d.retrying {
		p.failing--
	}
	d.inFlight, d.retrying, d.body = false, false, nil
	switch {
	case r.err == nil:
		p.arrived(d)
	case refusedForGood(r.err) && d.Since != 0 && p.Clock().UnixMilli()-d.Since > givenUp.Milliseconds():
		// Why: a transaction that a server never takes would keep everything behind it.
		p.Log.Error("another server does not take a transaction: it is left out", "server", d.Server, "error", r.err)
		p.arrived(d)
	default:
		p.failed(d, r.err)
	}
	if !d.idle() {
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
	d.Pos = max(d.Pos, d.FlightPos)
	d.Txn, d.Flight = "", nil
	d.Since, d.Retry, d.Reason = 0, 0, ""
	d.Success = p.Clock().UnixMilli()
	p.unsaved[d] = true
}

// failed leaves a destination alone for a while.
func (p *dispatch) failed(d *destination, err error) {
	now := p.Clock()
	if d.Since == 0 {
		d.Since = now.UnixMilli()
		p.Log.Info("another server cannot be reached", "server", d.Server, "error", err)
	}
	wait := backOff(now.Sub(time.UnixMilli(d.Since)))
	if e, ok := client.AsRemote(err); ok {
		wait = max(wait, e.RetryAfter())
	}
	d.Retry = now.Add(wait).UnixMilli()
	if d.Reason = err.Error(); len(d.Reason) > 300 {
		d.Reason = d.Reason[:300]
	}
	d.forgetTold()
	p.unsaved[d] = true
}

// catchUp reads again what a destination missed. Of many events only the newest of each room is sent: the server fetches from
// there what it wants. Messages that must arrive are all sent.
func (p *dispatch) catchUp(ctx context.Context, d *destination) error {
	var rows []*storage.OutboxRow
	after, part := d.read, int64(maxPart)
	newest := map[int64]int{}
	events := 0
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
			row.Targets = set
			if !d.concerns(row) {
				continue
			}
			if row.EDU == "" {
				newest[row.Room] = len(rows)
				events++
			}
			rows = append(rows, row)
		}
		if len(page) < pageSize {
			break
		}
		last := page[len(page)-1]
		after, part = last.Pos, last.Part
	}
	if events > wholeCatchUp {
		kept := rows[:0:0]
		for i, row := range rows {
			if row.EDU != "" || newest[row.Room] == i {
				kept = append(kept, row)
			}
		}
		rows = kept
	}
	d.queue, d.lost, d.missed, d.read = rows, false, 0, p.pos
	d.queued = max(d.queued, p.pos)
	return nil
}

// maxPart is behind every row of a position.
const maxPart = 1 << 62

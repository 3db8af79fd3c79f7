package sender

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/federation/client"
	"rempart/internal/matrix"
	"rempart/storage"
)

// flight is what a transaction holds, as it is stored while it is under way. Events are named by number, negative where the
// redacted form is sent; so the transaction can be made again, byte by byte.
type flight struct {
	TS   int64      `json:"ts"`
	PDUs []int64    `json:"pdus,omitempty"`
	EDUs []core.EDU `json:"edus,omitempty"`
}

// start makes a transaction for each destination that is ready, stores them, and sends them.
func (p *dispatch) start(ctx context.Context) error {
	p.ts = p.Clock().UnixMilli()
	var go1 []*destination
	ready := p.ready
	later, crowded := ready[:0:0], false
	p.ready = nil // Why: preparing one may mark it again
	for _, d := range ready {
		d.marked = false
		full := p.underWay+len(go1) >= maxUnderWay
		switch {
		case d.inFlight || d.Since != 0 && d.Retry > p.Clock().UnixMilli():
			continue
		case full || d.Since != 0 && p.failing >= maxFailing:
			crowded = crowded || full
			d.marked = true
			later = append(later, d)
			continue
		}
		ok, err := p.prepare(ctx, d)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if d.retrying = d.Since != 0; d.retrying {
			p.failing++
		}
		d.inFlight = true
		go1 = append(go1, d)
	}
	p.ready = append(later, p.ready...)
	prepared, recorded := p.preparing(p.calls, go1), p.record(ctx, go1) //nolint:contextcheck // what is under way ends with p.calls
	err := p.save(ctx, go1)
	<-prepared
	permits, refused := recorded()
	if err != nil {
		return err
	}
	if err = refused; err != nil {
		return p.unrecorded(go1, err)
	}
	if len(go1) > 0 {
		p.underWay += len(go1)
		news := p.news
		p.crew.do(func() { p.dispatched(p.calls, go1, permits, news) })
	}
	if crowded {
		p.hurry() // Why: who has answered makes room
	}
	return nil
}

// tell hands a transaction over. Another server of this installation has it already.
func (p *dispatch) tell(ctx context.Context, d *destination) (map[matrix.EventID]string, error) {
	if p.within(d) {
		return nil, nil
	}
	if d.opened != nil {
		if err := <-d.opened; err != nil {
			return nil, err
		}
	}
	return p.Client.Deliver(ctx, d.delivery)
}

// preparing signs transactions, or opens connections for them, while they are stored. Not to who failed: most of these are still gone.
func (p *dispatch) preparing(ctx context.Context, list []*destination) <-chan struct{} {
	done := make(chan struct{})
	if len(list) == 0 {
		close(done)
		return done
	}
	p.crew.do(func() {
		defer close(done)
		for _, d := range list {
			d.delivery = &client.Delivery{From: d.Origin, To: d.Server, TxnID: d.Txn, Body: d.body}
			if d.opened = nil; d.retrying || p.within(d) || p.Client.Prepare(ctx, d.delivery) {
				continue
			}
			opened := make(chan error, 1)
			d.opened = opened
			p.crew.do(func() { opened <- p.Client.Open(ctx, d.delivery) })
		}
	})
	return done
}

// within reports whether a destination is a server of this installation.
func (p *dispatch) within(d *destination) bool { return p.Within != nil && p.Within(d.Server) }

// told is the position up to which everybody has been told everything.
func (p *dispatch) told() int64 {
	pos := p.pos - 1
	for _, d := range p.dests {
		if len(d.queue) > 0 || d.lost {
			pos = min(pos, d.Pos)
		}
	}
	return pos
}

// prepare gives a destination its transaction: the one under way, or a new one. It reports false when there is nothing to send.
func (p *dispatch) prepare(ctx context.Context, d *destination) (bool, error) {
	if d.Txn != "" {
		var f flight
		if err := json.Unmarshal(d.Flight, &f); err != nil {
			return false, fmt.Errorf("read the transaction for %s: %w", d.Server, err)
		}
		if left, err := p.sift(ctx, d, &f); err != nil || !left {
			if err == nil && !d.idle() {
				p.mark(d)
			}
			return false, err
		}
		return true, p.encode(ctx, d, &f)
	}
	if d.lost && (d.behind || len(d.queue) == 0) {
		if err := p.catchUp(ctx, d); err != nil {
			return false, err
		}
	}
	if d.idle() {
		d.behind = false
		return false, nil
	}
	f, pos, err := p.compose(ctx, d)
	if err != nil {
		return false, err
	}
	if len(f.PDUs)+len(f.EDUs) == 0 {
		d.Pos = pos // nothing of it was for that server after all
		p.unsaved[d] = true
		if !d.idle() {
			p.mark(d)
		}
		return false, nil
	}
	if len(f.EDUs) == 0 {
		return true, p.join(ctx, d, f, pos)
	}
	if d.Flight, err = json.Marshal(f); err != nil {
		return false, err
	}
	d.Txn, d.FlightPos = newTxn(), pos
	p.unsaved[d] = true
	return true, p.encode(ctx, d, f)
}

// compose takes from the queue what goes into one transaction; rows of one position are never parted.
func (p *dispatch) compose(ctx context.Context, d *destination) (*flight, int64, error) {
	f := &flight{TS: p.ts}
	pos, n := d.Pos, 0
	for n < len(d.queue) && (d.queue[n].Pos == pos || len(f.PDUs) < maxPDUs && len(f.EDUs) < maxEDUs/2) {
		row := d.queue[n]
		pos = row.Pos
		n++
		if row.EDU != "" {
			edus, err := p.Compose(ctx, row)
			if err != nil {
				return nil, 0, err
			}
			f.EDUs = append(f.EDUs, edus...)
			continue
		}
		e, err := p.event(ctx, row.Event)
		if err != nil {
			return nil, 0, err
		}
		held, err := p.holds(ctx, d, e)
		if err != nil {
			return nil, 0, err
		}
		switch {
		case held || e == nil || e.Sender.Server() == d.Server:
		case e.Has(storage.FlagRedacted):
			f.PDUs = append(f.PDUs, -row.Event)
		default:
			f.PDUs = append(f.PDUs, row.Event)
		}
	}
	clear(d.queue[:n])
	if d.queue = d.queue[n:]; len(d.queue) == 0 {
		d.queue = nil
	}
	if room := maxEDUs - len(f.EDUs); room > 0 {
		f.EDUs = append(f.EDUs, d.takeTold(room)...)
	}
	if p.Admit != nil {
		f.EDUs = slices.DeleteFunc(f.EDUs, func(e core.EDU) bool { return !p.Admit(d.Origin, d.Server, e.Type) })
	}
	return f, pos, nil
}

// event finds an event; nil for one that was purged.
func (p *dispatch) event(ctx context.Context, nid int64) (*rooms.Stored, error) {
	found, err := p.Rooms.Events(ctx, []int64{nid})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// encode makes the body of a transaction. Spec: server-server-api/#put_matrixfederationv1sendtxnid
func (p *dispatch) encode(ctx context.Context, d *destination, f *flight) error {
	d.manifest = manifest{}
	b := append(make([]byte, 0, 2048), `{"edus":[`...)
	for i, edu := range f.EDUs {
		if i > 0 {
			b = append(b, ',')
		}
		raw, err := json.Marshal(edu)
		if err != nil {
			return err
		}
		b = append(b, raw...)
		d.manifest.message(edu.Type, raw)
	}
	b = append(append(b, `],"origin":"`...), d.Origin...)
	b = strconv.AppendInt(append(b, `","origin_server_ts":`...), f.TS, 10)
	b = append(b, `,"pdus":[`...)
	comma := false
	for _, nid := range f.PDUs {
		e, err := p.event(ctx, max(nid, -nid))
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if comma {
			b = append(b, ',')
		}
		b, comma = append(b, e.Wire(nid < 0)...), true
		d.manifest.event(e)
	}
	d.body = append(b, `]}`...)
	if body, err := matrix.CanonicalJSON(d.body); err == nil { // Why no error: it would be that of one destination, who refuses it
		d.body = body
	}
	return nil
}

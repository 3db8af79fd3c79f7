package main

import (
	"context"
	"net/netip"
	"sync"

	"rempart/core/ledger"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/policy"
)

// recorder is how the way out tells the ledger what leaves. Until the ledger is open nothing leaves but the connections to its own
// database, which are recorded once it is. It may be used concurrently.
type recorder struct {
	mu     sync.Mutex
	ledger *ledger.Service
	early  []*earlyPermit
	bytes  func(values ...string) *metrics.Counter // set before it is used; nil: not counted
}

// opened hands over the ledger with what happened before.
func (r *recorder) opened(l *ledger.Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger = l
	for _, p := range r.early {
		p.become(l.Note(p.intent))
	}
	r.early = nil
}

// maxEarly bounds the connections that are kept in mind until the ledger is open.
const maxEarly = 1000

// Begin implements [egress.Recorder].
func (r *recorder) Begin(ctx context.Context, i egress.Intent) (egress.Permit, error) {
	p, err := r.begin(ctx, i)
	if err != nil {
		return nil, err
	}
	return counted{p, r, &i}, nil
}

// counted is a permit whose bytes are counted.
type counted struct {
	egress.Permit
	recorder *recorder
	intent   *egress.Intent
}

// End implements [egress.Permit].
func (c counted) End(o egress.Outcome) {
	c.recorder.sent(c.intent, o.Sent)
	c.Permit.End(o)
}

func (r *recorder) begin(ctx context.Context, i egress.Intent) (egress.Permit, error) {
	intent := ledger.Intent{Record: recordOf(i, ledger.Connection)}
	r.mu.Lock()
	l := r.ledger
	// Why not waited for: the ledger's own database is reached by these, its name looked up first.
	ground := i.Kind == egress.Store || i.Kind == egress.Names
	if l == nil && ground && len(r.early) < maxEarly {
		p := &earlyPermit{intent: intent}
		r.early = append(r.early, p)
		r.mu.Unlock()
		return p, nil
	}
	r.mu.Unlock()
	switch {
	case l == nil:
		return nil, matrix.Forbidden("Nothing leaves this server until its record of what leaves is open.")
	case ground:
		return permit{l.Note(intent)}, nil
	}
	permits, err := l.Begin(ctx, intent)
	if err != nil {
		return nil, err
	}
	return permit{permits[0]}, nil
}

// Refused implements [egress.Witness].
func (r *recorder) Refused(_ context.Context, i egress.Intent, why error) {
	r.mu.Lock()
	l := r.ledger
	r.mu.Unlock()
	if l == nil {
		return
	}
	rec := recordOf(i, ledger.Refused)
	rec.Why = why.Error()
	l.Refuse(rec)
}

// turnedAway records a server whose request was refused.
func (r *recorder) turnedAway(from netip.Addr, f *policy.Facts, d *policy.Decision, id string, why error) {
	if l := r.open(); l != nil {
		rec := refusalOf(f, d, id, why)
		if from.IsValid() {
			rec.Addr = from.String()
		}
		l.RefuseCaller(rec, from)
	}
}

// denied records something that was refused at another point than the way out.
func (r *recorder) denied(f *policy.Facts, d *policy.Decision, id string, why error) {
	l := r.open()
	switch {
	case l == nil:
	case f.Point == policy.RTCICE: // whoever is in a call chooses the addresses, as many as he likes
		l.RefuseCaller(refusalOf(f, d, id, why), netip.Addr{})
	default:
		l.Refuse(refusalOf(f, d, id, why))
	}
}

// open is the ledger, nil until it is open.
func (r *recorder) open() *ledger.Service {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ledger
}

// refusalOf is what is recorded of a refusal.
func refusalOf(f *policy.Facts, d *policy.Decision, id string, why error) ledger.Record {
	rec := ledger.Record{
		Tenant: string(f.Tenant), For: string(f.Point), Dest: string(f.Server), CC: country(d.Place.Country.String()), ASN: int64(d.Place.ASN), Op: d.Place.Operator, Class: d.Place.Class,
		Decision: id, Rule: d.Rule, Policy: d.Policy, Geo: d.Geo, Why: why.Error(),
	}
	if rec.Dest == "" {
		rec.Dest = f.Host
	}
	if f.Data != "" {
		rec.Types = []string{f.Data}
	}
	return rec
}

// recordOf is what is recorded of an intent.
func recordOf(i egress.Intent, kind ledger.Kind) ledger.Record {
	r := ledger.Record{
		Kind: kind, For: string(i.Kind), Tenant: string(i.Tenant), Dest: string(i.Server), CC: country(i.Verdict.Country), ASN: int64(i.Verdict.ASN), Op: i.Verdict.Operator,
		Class: i.Verdict.Class, Decision: i.Verdict.ID, Rule: i.Verdict.Rule, Policy: i.Verdict.Policy, Geo: i.Verdict.Geo,
	}
	if r.Dest == "" {
		r.Dest = i.Host
	} else if r.Dest != i.Host {
		r.Host = i.Host
	}
	if i.Watch {
		r.Types = []string{"watch"}
	}
	switch {
	case i.Socket:
		r.Addr = "unix"
	case i.Addr.IsValid():
		r.Addr = i.Addr.String()
	}
	return r
}

// permit is a connection that was recorded.
type permit struct{ ledger.Permit }

// End implements [egress.Permit].
func (p permit) End(o egress.Outcome) { p.Permit.End(outcomeOf(o)) }

func outcomeOf(o egress.Outcome) ledger.Outcome {
	out := ledger.Outcome{OK: o.Err == nil, Sent: o.Sent, Received: o.Received, SPKI: o.SPKI}
	if o.Err != nil {
		out.Why = o.Err.Error()
	}
	return out
}

// earlyPermit is a connection that will be recorded.
type earlyPermit struct {
	intent ledger.Intent

	mu     sync.Mutex
	permit *ledger.Permit
	ended  *ledger.Outcome
}

// become takes the permit of the record.
func (p *earlyPermit) become(permit ledger.Permit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.permit = &permit; p.ended != nil {
		permit.End(*p.ended)
	}
}

// End implements [egress.Permit].
func (p *earlyPermit) End(o egress.Outcome) {
	out := outcomeOf(o)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.permit != nil {
		p.permit.End(out)
		return
	}
	p.ended = &out
}

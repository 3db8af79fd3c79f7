package main

import (
	"context"
	"math"
	"time"

	"rempart/internal/egress"
	"rempart/internal/metrics"
	"rempart/policy"
	"rempart/policy/territory"
)

// decide judges by the policy in force.
func (j *judge) decide(f *policy.Facts) policy.Decision { return j.decideBy(j.policy.Current(), f) }

// decideBy judges by one policy, and measures how long that takes.
func (j *judge) decideBy(g *policy.Generation, f *policy.Facts) policy.Decision {
	if j.took == nil {
		return g.Decide(f)
	}
	began := time.Now()
	d := g.Decide(f)
	j.took.Took(time.Since(began))
	return d
}

// decisionBounds suit decisions, which take microseconds.
func decisionBounds() []float64 {
	return []float64{1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 1e-3, 1e-2}
}

// measureDecisions shows what the judge decides and what goes out of the door.
func (g *ground) measureDecisions(r *metrics.Registry) {
	g.judge.decisions = r.Counters("rempart_decisions_total", "Decisions of the policy that opened a connection, or refused something.", "dp", "decision", "rule")
	g.judge.took = r.Histogram("rempart_decision_seconds", "Time that a decision of the policy takes.", decisionBounds())
	g.recorder.bytes = r.Counters("rempart_egress_bytes_total", "Bytes sent by connections that have ended, TLS included.", "channel", "territory", "operator_class")
}

// sent counts what a connection carried out.
func (r *recorder) sent(i *egress.Intent, n int64) {
	if r.bytes == nil || n <= 0 {
		return
	}
	where := country(i.Verdict.Country)
	if i.Socket {
		where = "unix"
	}
	r.bytes(string(i.Kind), where, i.Verdict.Class).Add(uint64(n))
}

// measureGeo shows how old the data about addresses is, by source; a source that a later policy brings is shown from then on.
func (p *policies) measureGeo(r *metrics.Registry) {
	data := p.judge.policy.Current().Territory().Data
	if data == nil {
		return
	}
	for _, s := range data.Sources {
		r.Gauge("rempart_geo_age_seconds", "Age of the data about addresses.", func() float64 { return p.geoAge(s.Name) }, "source", s.Name)
	}
}

// geoAge is the age of a source of the policy in force, not a number when that has no such source.
func (p *policies) geoAge(name string) float64 {
	rules := p.judge.policy.Current().Territory()
	if rules.Data == nil {
		return math.NaN()
	}
	return ageOf(rules.Data.Sources, name, time.Now())
}

func ageOf(sources []territory.Source, name string, now time.Time) float64 {
	for _, s := range sources {
		if s.Name == name {
			return now.Sub(s.Date).Seconds()
		}
	}
	return math.NaN()
}

// checkpointAge is how long ago the newest checkpoint of the record was signed, not a number before the first.
func (g *ground) checkpointAge() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	p, err := g.db.FindLedgerCheckpoint(ctx)
	if err != nil {
		return math.NaN()
	}
	return time.Since(time.UnixMilli(p.TS)).Seconds()
}

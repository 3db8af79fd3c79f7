package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rempart/adminapi"
	"rempart/core/ledger"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/policy"
	"rempart/storage"
)

// policyAdmin answers administrators about the policy.
type policyAdmin struct {
	*policies
	db     *storage.DB
	ledger *ledger.Service
	origin matrix.ServerName
	// shutGateways counts the pushers that wait for a policy which admits their gateways.
	shutGateways func(context.Context) (map[string]int64, error)
}

var _ adminapi.Policy = policyAdmin{}

// Origin implements [adminapi.Policy].
func (p policyAdmin) Origin() matrix.ServerName { return p.origin }

// Status implements [adminapi.Policy].
func (p policyAdmin) Status() adminapi.PolicyStatus {
	g, last, read := p.judge.policy.Current(), p.rooms.Last(), p.state.Load()
	s := adminapi.PolicyStatus{
		Generation: g.Number, Policy: g.Digest, Geo: g.Geo, File: p.cfg.Policy.File, Observe: g.Observes(), LoadedTS: read.at.UnixMilli(),
		Alarms: p.alarms(), Rooms: last.Rooms, Servers: last.Servers, Frozen: p.rooms.Frozen(), TookMS: last.Took.Milliseconds(),
		Refused: p.judge.places.refused(),
	}
	if read.broken != nil {
		s.Broken, s.Mistakes = true, read.broken.Error()
	}
	return s
}

// alarms is what is wrong now.
func (p *policies) alarms() []string {
	out := []string{}
	if read := p.state.Load(); read.broken != nil {
		out = append(out, "the policy file is not taken, an older policy is in force: "+read.broken.Error())
	}
	return append(out, p.judge.policy.Current().Alarms(time.Now())...)
}

// Reload implements [adminapi.Policy].
func (p policyAdmin) Reload(ctx context.Context) error {
	if err := p.reload(ctx); err != nil {
		return matrix.BadJSON(err.Error()).Wrap(err)
	}
	return nil
}

// candidate compiles a text as if it stood in the place of the policy file.
func (p policyAdmin) candidate(text string) (*policy.Generation, error) {
	return policy.Compile([]byte(text), readerBeside(p.cfg.Policy.File))
}

// Check implements [adminapi.Policy].
func (p policyAdmin) Check(ctx context.Context, text string) adminapi.PolicyCheck {
	g, err := p.candidate(text)
	out := adminapi.PolicyCheck{OK: err == nil, Mistakes: []string{}, Notes: []string{}}
	if err != nil {
		out.Mistakes = strings.Split(err.Error(), "\n")
		return out
	}
	out.Policy, out.Notes = g.Digest, append(out.Notes, g.Lint(time.Now())...)
	out.Notes = append(out.Notes, lintPublished(ctx, g, p.cfg, p.egress.Lookup)...)
	return out
}

// Explain implements [adminapi.Policy].
func (p policyAdmin) Explain(q adminapi.PolicyQuestion) ([]string, error) {
	f, err := factsAbout(q.Point, q.Name, q.Address, q.Data)
	if err != nil {
		return nil, matrix.InvalidParam(err.Error()).Wrap(err)
	}
	f.Tenant = q.Tenant
	return p.judge.policy.Current().Explain(f), nil
}

// factsAbout are the facts of a question asked in words.
func factsAbout(point, name, address, data string) (policy.Facts, error) {
	f := policy.Facts{Point: policy.Point(point), Data: data, Now: time.Now()}
	i := slices.IndexFunc(policy.Points(), func(p policy.PointInfo) bool { return p.Point == f.Point })
	switch {
	case i < 0:
		return f, errors.New("there is no decision point \"" + point + "\"; `rempart policy points` lists them")
	case policy.Points()[i].Partner:
		f.Server = matrix.ServerName(name)
	default:
		f.Host = name
	}
	if address == "" {
		return f, nil
	}
	a, err := netip.ParseAddr(address)
	f.Addr = netip.AddrPortFrom(a, 443)
	return f, err
}

// Decision implements [adminapi.Policy].
func (p policyAdmin) Decision(id string) (adminapi.Decision, error) {
	one, ok := p.judge.recent.find(id)
	if !ok {
		return adminapi.Decision{}, matrix.NotFound("This decision is not in memory any more: look for its id in the log, or in the ledger.")
	}
	d := decisionOf(&one)
	d.Steps = p.judge.policy.Current().Explain(one.facts)
	return d, nil
}

func decisionOf(one *decided) adminapi.Decision {
	en, fr := one.d.Words(&one.facts)
	d := adminapi.Decision{
		ID: one.id, TS: one.facts.Now.UnixMilli(), Point: string(one.facts.Point), Rule: one.d.Rule, Observed: one.d.Observed,
		Server: one.facts.Server, Host: one.facts.Host, Data: one.facts.Data, Tenant: one.facts.Tenant, Country: country(one.d.Place.Country.String()),
		ASN: one.d.Place.ASN, Operator: one.d.Place.Operator, Class: one.d.Place.Class, Generation: one.d.Generation, Policy: one.d.Policy, Geo: one.d.Geo,
		EN: en, FR: fr,
	}
	if one.facts.Addr.IsValid() {
		d.Address = one.facts.Addr.Addr().String()
	}
	return d
}

// Decisions implements [adminapi.Policy].
func (p policyAdmin) Decisions(point string, most int) []adminapi.Decision {
	out := []adminapi.Decision{}
	for _, one := range p.judge.recent.list(most, func(d *decided) bool { return point == "" || string(d.facts.Point) == point }) {
		out = append(out, decisionOf(&one))
	}
	return out
}

// Alarms implements [adminapi.Policy].
func (p policyAdmin) Alarms(ctx context.Context, most int) (adminapi.PolicyAlarms, error) {
	out := adminapi.PolicyAlarms{Now: p.alarms(), Rooms: []adminapi.RoomAlarm{}}
	shut, err := p.shutGateways(ctx)
	if err != nil {
		return out, err
	}
	for _, host := range slices.Sorted(maps.Keys(shut)) {
		out.Now = append(out.Now, fmt.Sprintf("the policy refuses the push gateway %s: %d pushers wait.", host, shut[host]))
	}
	for _, r := range p.judge.recent.raised(most) {
		a := r.alarm
		out.Rooms = append(out.Rooms, adminapi.RoomAlarm{TS: r.at.UnixMilli(), What: a.What, Room: a.Room, Server: a.Server, User: a.User, Rule: a.Rule, Answer: a.Answer})
	}
	return out, nil
}

// Closures implements [adminapi.Policy].
func (p policyAdmin) Closures(ctx context.Context, tenant matrix.ServerName) ([]rooms.Found, error) {
	return p.rooms.Found(ctx, tenant)
}

// Points implements [adminapi.Policy].
func (p policyAdmin) Points() []adminapi.PolicyPoint {
	out := []adminapi.PolicyPoint{}
	for _, info := range policy.Points() {
		out = append(out, adminapi.PolicyPoint{Point: string(info.Point), EN: info.EN, FR: info.FR})
	}
	return out
}

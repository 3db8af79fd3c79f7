package main

import (
	"context"
	"time"

	"rempart/core"
	"rempart/core/ledger"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/policy"
)

// roomPolicy is what the core is told about servers in rooms.
type roomPolicy struct {
	*judge
	ledger *ledger.Service
	alarms func(values ...string) *metrics.Counter
}

var _ core.RoomPolicy = (*roomPolicy)(nil)

// newRoomPolicy makes it.
func newRoomPolicy(j *judge, l *ledger.Service, r *metrics.Registry) *roomPolicy {
	return &roomPolicy{judge: j, ledger: l,
		alarms: r.Counters("rempart_room_alarms_total", "What was found in rooms against the policy, or is over.", "what")}
}

// Generation implements [core.RoomPolicy]: it changes with the policy, and with where a server was found.
func (p *roomPolicy) Generation() uint64 {
	return p.policy.Current().Number<<32 | uint64(p.places.moves.Load())
}

// Enforced implements [core.RoomPolicy].
func (p *roomPolicy) Enforced() bool { return p.policy.Current().Closes() }

// pointOfRooms is the decision point of an act.
func pointOfRooms(act core.RoomAct) policy.Point {
	switch act {
	case core.ActJoin:
		return policy.RoomJoin
	case core.ActInvite:
		return policy.RoomInvite
	case core.ActClosure:
		return policy.RoomClosure
	}
	return ""
}

// Judge implements [core.RoomPolicy]. A server is judged by its name and by where it was found last: one that moved abroad is no better
// in a room than one that was always there.
func (p *roomPolicy) Judge(act core.RoomAct, ours, other matrix.ServerName) *core.Refusal {
	f := policy.Facts{Point: pointOfRooms(act), Tenant: ours, Server: other, Data: policy.DataRooms, Addr: p.places.of(other), Now: time.Now()}
	d := p.decide(&f)
	if d.Allowed && !d.Observed {
		return nil
	}
	id := decisionID()
	if p.note(context.Background(), &f, &d, id) == nil {
		return nil
	}
	en, fr := d.Words(&f)
	return &core.Refusal{Rule: d.Rule, Decision: id, EN: en, FR: fr}
}

// Shown implements [core.RoomPolicy].
func (p *roomPolicy) Shown(ctx context.Context, to matrix.ServerName, act string, room matrix.RoomID, user matrix.UserID) error {
	permits, err := p.ledger.Begin(ctx, ledger.Intent{
		Record: ledger.Record{Kind: ledger.Transaction, For: "room." + act, Tenant: string(user.Server()), Dest: string(to), Types: []string{"m.room.member"}},
		About:  []ledger.Name{ledger.Room(room), ledger.User(user)}, Items: ledger.AppendItem(nil, []byte(user)),
	})
	if err != nil {
		return err
	}
	permits[0].End(ledger.Outcome{OK: true})
	return nil
}

// Alarm implements [core.RoomPolicy].
func (p *roomPolicy) Alarm(ctx context.Context, a core.RoomAlarm) {
	p.alarms(a.What).Add(1)
	p.recent.alarm(a)
	text := "policy: ALARM in a room"
	if a.What == "thawed" {
		text = "policy: a room is open again"
	}
	p.log.WarnContext(ctx, text, "what", a.What, "room", a.Room, "server", a.Server, "user", a.User, "rule", a.Rule, "answer", a.Answer)
	about := []ledger.Name{ledger.Room(a.Room)}
	if a.User != "" {
		about = append(about, ledger.User(a.User))
	}
	g := p.policy.Current()
	p.ledger.Note(ledger.Intent{About: about, Record: ledger.Record{
		Kind: ledger.Refused, For: "room." + a.What, Dest: string(a.Server), Count: 1, Rule: a.Rule, Policy: g.Digest, Geo: g.Geo, Why: a.Answer,
	}})
}

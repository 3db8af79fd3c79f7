package main

import (
	"context"
	"errors"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/policy"
)

// supposed is a policy that is not in force, as rooms would be judged by it. It tells nobody and records nothing.
type supposed struct {
	judge *judge
	g     *policy.Generation
}

// Generation implements [core.RoomPolicy].
func (s supposed) Generation() uint64 { return 0 }

// Enforced implements [core.RoomPolicy].
func (s supposed) Enforced() bool { return s.g.Closes() }

// Judge implements [core.RoomPolicy].
func (s supposed) Judge(act core.RoomAct, ours, other matrix.ServerName) *core.Refusal {
	f := policy.Facts{Point: pointOfRooms(act), Tenant: ours, Server: other, Data: policy.DataRooms, Addr: s.judge.places.of(other), Now: time.Now()}
	if d := s.g.Decide(&f); !d.Allowed {
		return &core.Refusal{Rule: d.Rule}
	}
	return nil
}

// Shown implements [core.RoomPolicy]: nothing leaves by a policy that is not in force.
func (s supposed) Shown(context.Context, matrix.ServerName, string, matrix.RoomID, matrix.UserID) error {
	return errors.New("this policy is not in force")
}

// Alarm implements [core.RoomPolicy].
func (s supposed) Alarm(context.Context, core.RoomAlarm) {}

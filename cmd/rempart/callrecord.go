package main

import (
	"context"
	"net/netip"
	"time"

	"rempart/core/calls"
	"rempart/core/ledger"
	"rempart/internal/matrix"
	"rempart/policy"
	"rempart/sfu"
)

// callRecord tells the ledger what goes on in calls.
type callRecord struct {
	ledger    *ledger.Service
	countryOf func(netip.Addr) string
}

// Record implements [sfu.Audit]. Who was refused is counted, as other refusals are: he may ask as often as he likes.
func (c callRecord) Record(_ context.Context, e sfu.Event) {
	r := ledger.Record{Kind: ledger.Call, For: "calls", Types: []string{e.Kind}, Why: e.Reason}
	if user, err := matrix.ParseUserID(string(e.User)); err == nil {
		r.Dest = string(user.Server())
	}
	if e.From.IsValid() {
		r.Addr, r.CC = e.From.String(), c.countryOf(e.From)
	}
	if e.Kind == sfu.Refused {
		c.ledger.Refuse(r)
		return
	}
	var about []ledger.Name
	if e.Room != "" {
		about = append(about, ledger.Room(e.Room))
	}
	if e.User != "" && e.Kind != sfu.RoomStarted && e.Kind != sfu.RoomEnded {
		about = append(about, ledger.User(e.User))
	}
	c.ledger.Note(ledger.Intent{Record: r, About: about})
}

// callJudge decides besides membership who may be in a call: nobody of a server that the policy does not admit, and nobody while
// the room is frozen.
func callJudge(j *judge, open calls.Judge, local func(matrix.ServerName) bool) calls.Judge {
	return func(ctx context.Context, user matrix.UserID, room matrix.RoomID) error {
		if server := user.Server(); !local(server) {
			f := policy.Facts{Point: policy.RTCToken, Server: server, Now: time.Now()}
			if d := j.decide(&f); !d.Allowed {
				return j.note(ctx, &f, &d, decisionID())
			}
		}
		return open(ctx, user, room)
	}
}

// reaches judges an address that the media of a call goes to.
func (j *judge) reaches(ctx context.Context, to netip.Addr) error {
	f := policy.Facts{Point: policy.RTCICE, Host: to.String(), Addr: netip.AddrPortFrom(to, 0), Now: time.Now()}
	d := j.decide(&f)
	if d.Allowed {
		return nil
	}
	return j.note(ctx, &f, &d, decisionID())
}

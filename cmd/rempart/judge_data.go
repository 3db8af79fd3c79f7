package main

import (
	"context"
	"time"

	"rempart/core/border"
	"rempart/internal/matrix"
	"rempart/policy"
)

// dataOf is the kind of data that an ephemeral message is. Spec: server-server-api/#edus
func dataOf(typ string) string {
	switch typ {
	case "m.receipt":
		return policy.DataReceipts
	case "m.typing":
		return policy.DataTyping
	case "m.presence":
		return policy.DataPresence
	}
	return policy.DataDevices
}

// tells reports whether a server may be told an ephemeral message.
func (j *judge) tells(from, to matrix.ServerName, typ string) bool {
	return j.data(policy.FedOutEDU, from, to, typ)
}

// hears reports whether a server may tell one of ours one.
func (j *judge) hears(from, ours matrix.ServerName, typ string) bool {
	return j.data(policy.FedInEDU, ours, from, typ)
}

// data judges one kind of data. Nothing is logged: this is asked for every message, and a partner that was granted less is no alarm.
func (j *judge) data(point policy.Point, ours, server matrix.ServerName, typ string) bool {
	f := policy.Facts{Point: point, Tenant: ours, Server: server, Data: dataOf(typ), Now: time.Now()}
	d := j.decide(&f)
	return d.Allowed
}

// passes reports whether something of one server of this installation may reach another: out of the one and into the other, as if it
// were sent. kind is a word of the policy, the type of an ephemeral message, or "" for events.
func (j *judge) passes(ctx context.Context, from, to matrix.ServerName, kind string) error {
	now := time.Now()
	ways := [2]policy.Facts{{Point: policy.FedOutEDU, Server: to, Tenant: from}, {Point: policy.FedInEDU, Server: from, Tenant: to}}
	if kind == border.Events {
		ways[0].Point, ways[1].Point = policy.RoomClosure, policy.FedAccept
	}
	for i := range ways {
		f := &ways[i]
		f.Now, f.Data = now, wordOf(kind)
		d := j.decide(f)
		if d.Allowed && !d.Observed {
			continue
		}
		if kind != border.Events && d.Allowed { // as [judge.data]
			continue
		}
		if kind != border.Events {
			return d.Err(f, decisionID())
		}
		if err := j.note(ctx, f, &d, decisionID()); err != nil {
			return err
		}
	}
	return nil
}

// wordOf is the policy's word for what passes.
func wordOf(kind string) string {
	switch kind {
	case border.Events:
		return policy.DataRooms
	case border.Profile, border.Devices, border.Media, border.Directory:
		return kind
	}
	return dataOf(kind)
}

// pinned reports whether a signing key is one that was agreed upon with its server.
func (j *judge) pinned(server matrix.ServerName, keyID, key string) bool {
	return j.policy.Current().PinnedKey(server, keyID, key)
}

package main

import (
	"time"

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
func (j *judge) tells(to matrix.ServerName, typ string) bool {
	return j.data(policy.FedOutEDU, to, typ)
}

// hears reports whether a server may tell us one.
func (j *judge) hears(from matrix.ServerName, typ string) bool {
	return j.data(policy.FedInEDU, from, typ)
}

// data judges one kind of data. Nothing is logged: this is asked for every message, and a partner that was granted less is no alarm.
func (j *judge) data(point policy.Point, server matrix.ServerName, typ string) bool {
	f := policy.Facts{Point: point, Server: server, Data: dataOf(typ), Now: time.Now()}
	d := j.policy.Decide(&f)
	return d.Allowed
}

// pinned reports whether a signing key is one that was agreed upon with its server.
func (j *judge) pinned(server matrix.ServerName, keyID, key string) bool {
	return j.policy.Current().PinnedKey(server, keyID, key)
}

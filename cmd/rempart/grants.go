package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
	"rempart/policy"
)

// granted lets other servers have the kinds of data that they were granted, by the organisation of ours that they ask. It stands
// before whoever records what is answered.
type granted struct {
	httpx.ServerAuthenticator
	judge *judge
}

// AuthenticateServer implements [httpx.ServerAuthenticator].
func (g granted) AuthenticateServer(ctx context.Context, r *http.Request, body []byte) (matrix.Caller, error) {
	caller, err := g.ServerAuthenticator.AuthenticateServer(ctx, r, body)
	if err != nil {
		return caller, err
	}
	return caller, g.judge.grants(ctx, caller.Destination, caller.Server, dataAsked(r.URL))
}

// grants judges a question of another server to one of ours; kind "" is the right to tell us something.
func (j *judge) grants(ctx context.Context, ours, server matrix.ServerName, kind string) error {
	f := policy.Facts{Point: policy.FedInQuery, Tenant: ours, Server: server, Data: kind, Now: time.Now()}
	if kind == "" {
		f.Point = policy.FedAccept
	}
	d := j.decide(&f)
	if d.Allowed && !d.Observed {
		return nil
	}
	return j.note(ctx, &f, &d, decisionID())
}

// dataAsked is the kind of data that a request of another server is about. What is not known here is asked of whoever may have rooms: a
// new route can only be judged too strictly.
func dataAsked(u *url.URL) string {
	parts := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/_matrix/federation/"), "/")
	if len(parts) < 2 {
		return policy.DataRooms
	}
	switch parts[1] { // behind the version
	case "send":
		return "" // Why: messages are judged one by one, and events by the rooms that they are for
	case "query":
		switch {
		case len(parts) > 2 && parts[2] == "directory":
			return policy.DataDirectory
		default:
			return policy.DataProfiles
		}
	case "publicRooms":
		return policy.DataDirectory
	case "user":
		return policy.DataDevices
	case "media", "org.matrix.msc3916.v2":
		return policy.DataMedia
	}
	return policy.DataRooms
}

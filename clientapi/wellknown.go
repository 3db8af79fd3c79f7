package clientapi

import (
	"context"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type baseURL struct {
	BaseURL string `json:"base_url"`
}

type wellKnown struct {
	Homeserver baseURL `json:"m.homeserver"`
}

// wellKnownRoutes tells clients where the server is. Without a configured address there is nothing to tell: a client
// that asked here has found it already. Spec: client-server-api/#getwell-knownmatrixclient
func wellKnownRoutes(r *httpx.Router, d Deps) {
	httpx.Handle(r, "GET", "/.well-known/matrix/client", httpx.Route{Spec: "getWellknown"},
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (wellKnown, error) {
			if d.BaseURL == "" {
				return wellKnown{}, matrix.NotFound("This server has no public address configured: set server.public_url.")
			}
			return wellKnown{baseURL{d.BaseURL}}, nil
		})
}

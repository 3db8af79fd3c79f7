package inbound

import (
	"context"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// delegation says where a server is that is named like the host which was asked.
type delegation struct {
	Server string `json:"m.server"`
}

// wellKnownRoutes tells other servers at which address they find this one. Without one there is nothing to tell: they
// look for SRV records, then at port 8448. Spec: server-server-api/#getwell-knownmatrixserver
func wellKnownRoutes(r *httpx.Router, address string) {
	httpx.Handle(r, "GET", "/.well-known/matrix/server", open("getWellKnown"),
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (delegation, error) {
			if address == "" {
				return delegation{}, matrix.NotFound("This server is found by its name alone: federation.address is not set.")
			}
			return delegation{address}, nil
		})
}

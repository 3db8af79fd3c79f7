package inbound

import (
	"context"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type softwareAnswer struct {
	Server struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"server"`
}

// versionRoutes names the software. Spec: server-server-api/#get_matrixfederationv1version
func versionRoutes(r *httpx.Router, software string) {
	httpx.Handle(r, "GET", "/_matrix/federation/v1/version", open("getVersion"),
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (a softwareAnswer, _ error) {
			a.Server.Name, a.Server.Version = "Rempart", software
			return a, nil
		})
}

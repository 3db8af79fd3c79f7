package main

import (
	"context"

	"rempart/clientapi"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// federationRoutes adds every route of the federation address.
func federationRoutes(r *httpx.Router, _ clientapi.Deps) {
	httpx.Handle(r, "GET", "/_matrix/federation/v1/version", httpx.Route{Spec: "getVersion"}, federationVersion)
}

type softwareAnswer struct {
	Server struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"server"`
}

// federationVersion names the software. Spec: server-server-api/#get_matrixfederationv1version
func federationVersion(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (softwareAnswer, error) {
	var a softwareAnswer
	a.Server.Name, a.Server.Version = "Rempart", version()
	return a, nil
}

package main

import (
	"context"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// clientRoutes adds every route of the client address.
func clientRoutes(r *httpx.Router, _ services) {
	httpx.Handle(r, "GET", "/_matrix/client/versions", httpx.Route{Spec: "getVersions"}, versions)
}

// federationRoutes adds every route of the federation address.
func federationRoutes(r *httpx.Router, _ services) {
	httpx.Handle(r, "GET", "/_matrix/federation/v1/version", httpx.Route{Spec: "getVersion"}, federationVersion)
}

type versionsAnswer struct {
	Versions         []string        `json:"versions"`
	UnstableFeatures map[string]bool `json:"unstable_features"`
}

// versions lists the versions of the specification. Spec: client-server-api/#get_matrixclientversions
func versions(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (versionsAnswer, error) {
	return versionsAnswer{
		Versions: []string{
			"r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9",
			"v1.10", "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
		},
		UnstableFeatures: map[string]bool{},
	}, nil
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

package adminapi

import (
	"context"
	"encoding/json"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// serverRoutes adds what is asked about the server itself.
func serverRoutes(r *httpx.Router, d Deps) {
	// Why public: interfaces show it before anybody has logged in.
	httpx.Handle(r, "GET", prefix+"/v1/server_version", httpx.Route{},
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (map[string]string, error) {
			return map[string]string{"server_version": "Rempart " + d.Version}, nil
		})
	// Why an answer at all: an interface asks for the edition of the server suite, and takes none for an error of ours.
	httpx.Handle(r, "GET", "/_synapse/ess/version", httpx.Route{},
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, matrix.NotFound("This server is not part of such a suite.")
		})
	ofUser(r, "GET", "/v1/experimental_features/{userID}",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (featuresAnswer, error) {
			_, err := d.Users.Managed(ctx, c, id)
			return featuresAnswer{features()}, err
		})
	ofUser(r, "PUT", "/v1/experimental_features/{userID}",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in json.RawMessage) (httpx.Empty, error) {
			if _, err := d.Users.Managed(ctx, c, id); err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, sameFeatures(in)
		})
}

type featuresAnswer struct {
	Features map[string]bool `json:"features"`
}

// features are those that interfaces ask for by user. Here they are the same for everybody.
func features() map[string]bool {
	return map[string]bool{"msc3881": true, "msc3575": true, "msc4222": true}
}

// sameFeatures takes a request that changes nothing, and refuses all others.
func sameFeatures(body json.RawMessage) error {
	var in featuresAnswer
	if matrix.Decode(body, &in) != nil || in.Features == nil {
		return matrix.MissingParam("The request needs \"features\", each true or false.")
	}
	for name, on := range in.Features {
		is, known := features()[name]
		if !known {
			return matrix.InvalidParam("This server does not know the feature " + name + ".")
		}
		if is != on {
			return matrix.InvalidParam("The feature " + name + " is the same for all users of this server.")
		}
	}
	return nil
}

package inbound

import (
	"context"
	"encoding/json"

	"rempart/federation/keys"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type keysAnswer struct {
	Keys []json.RawMessage `json:"server_keys"`
}

// maxKeyQueries bounds how many servers one request asks about.
const maxKeyQueries = 100

// keyRoutes publishes our keys. As a notary this server answers about itself only: about all others it knows nothing
// that they would not say themselves. Spec: server-server-api/#retrieving-server-keys
func keyRoutes(r *httpx.Router, ring *keys.Ring) {
	own := func(ctx context.Context, _ matrix.Caller, _ httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
		return ring.Publish(ring.Asked(httpx.Host(ctx)))
	}
	route := open("getServerKey")
	route.Unstable = []string{"/_matrix/key/v2/server/", "/_matrix/key/v2/server/{keyID}"} // what older servers ask
	httpx.Handle(r, "GET", "/_matrix/key/v2/server", route, own)
	httpx.Handle(r, "GET", "/_matrix/key/v2/query/{serverName}", open("perspectivesKeyQuery"),
		func(_ context.Context, _ matrix.Caller, p httpx.Path, _ httpx.Empty) (keysAnswer, error) {
			return published(ring, matrix.ServerName(p.Var("serverName")))
		})
	httpx.Handle(r, "POST", "/_matrix/key/v2/query", open("bulkPerspectivesKeyQuery"),
		func(_ context.Context, _ matrix.Caller, _ httpx.Path, q struct {
			Servers map[matrix.ServerName]json.RawMessage `json:"server_keys"`
		}) (keysAnswer, error) {
			if len(q.Servers) > maxKeyQueries {
				return keysAnswer{}, matrix.TooLarge("Ask about at most 100 servers at once.")
			}
			names := make([]matrix.ServerName, 0, len(q.Servers))
			for name := range q.Servers {
				names = append(names, name)
			}
			return published(ring, names...)
		})
}

// published answers about those of the servers that are ours.
func published(ring *keys.Ring, names ...matrix.ServerName) (keysAnswer, error) {
	a := keysAnswer{Keys: []json.RawMessage{}}
	for _, name := range names {
		raw, err := ring.Publish(name)
		if matrix.HasCode(err, matrix.CodeNotFound) {
			continue
		}
		if err != nil {
			return a, err
		}
		a.Keys = append(a.Keys, raw)
	}
	return a, nil
}

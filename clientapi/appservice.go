package clientapi

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"strconv"
	"time"

	"rempart/core"
	"rempart/core/appservice"
	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// Appservices are the parts that know the application services; all are nil where there are none.
type Appservices struct {
	Registry   *appservice.Registry
	Gateway    core.Appservices
	ThirdParty *appservice.ThirdParty
	// Heard is told that a service spoke to us.
	Heard func(*appservice.Service)
}

type pingRequest struct {
	TransactionID string `json:"transaction_id"`
}

type pingAnswer struct {
	Duration int64 `json:"duration_ms"`
}

// appserviceRoutes adds what is for application services only, and the look-ups of other networks.
// Spec: application-service-api/#client-server-api-extensions
func appserviceRoutes(r *httpx.Router, d Deps) {
	a := d.Appservices
	httpx.Handle(r, "POST", "/_matrix/client/v1/appservice/{appserviceID}/ping",
		also(httpx.Route{Access: httpx.User, Spec: "pingAppservice"}, "/_matrix/client/unstable/fi.mau.msc2659/appservice/{appserviceID}/ping"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in pingRequest) (pingAnswer, error) {
			s := a.Registry.ByID(c.Appservice)
			if s == nil || s.ID != p.Var("appserviceID") {
				return pingAnswer{}, matrix.Forbidden("This is for the application service itself.")
			}
			if s.URL == "" {
				return pingAnswer{}, matrix.NewError(400, "M_URL_NOT_SET", "The application service has no address.")
			}
			start := time.Now()
			if err := a.Gateway.Ping(ctx, s.ID, in.TransactionID); err != nil {
				return pingAnswer{}, err
			}
			a.Heard(s)
			return pingAnswer{time.Since(start).Milliseconds()}, nil
		})
	httpx.Handle(r, "PUT", "/_matrix/client/v3/directory/list/appservice/{networkID}/{roomID}",
		httpx.Route{Access: httpx.User, R0: true, Spec: "updateAppserviceRoomDirectoryVisibility"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in visibility) (httpx.Empty, error) {
			return httpx.Empty{}, listOnNetwork(ctx, d.Rooms, c, p, in)
		})
	thirdPartyRoutes(r, a)
}

// listOnNetwork lists a room in the directory of a third-party network.
// Spec: application-service-api/#put_matrixclientv3directorylistappservicenetworkidroomid
func listOnNetwork(ctx context.Context, s *rooms.Service, c matrix.Caller, p httpx.Path, in visibility) error {
	if c.Appservice == "" {
		return matrix.Forbidden("This is for application services.")
	}
	if in.Visibility != "public" && in.Visibility != "private" {
		return matrix.InvalidParam("visibility must be public or private.")
	}
	room, err := roomNamed(ctx, s, p.Var("roomID"))
	if err != nil {
		return err
	}
	return s.ListOnNetwork(ctx, appservice.Instance(c.Appservice, p.Var("networkID")), room, in.Visibility == "public")
}

// thirdPartyRoutes adds the look-ups of other networks. Spec: client-server-api/#third-party-networks
func thirdPartyRoutes(r *httpx.Router, a Appservices) {
	const path = "/_matrix/client/v3/thirdparty/"
	look := func(spec string) httpx.Route {
		return httpx.Route{Access: httpx.User, R0: true, Class: "search", Spec: spec}
	}
	httpx.Handle(r, "GET", path+"protocols", look("getProtocols"),
		func(ctx context.Context, _ matrix.Caller, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			if a.ThirdParty == nil {
				return map[string]any{}, nil
			}
			return a.ThirdParty.Protocols(ctx), nil
		})
	httpx.Handle(r, "GET", path+"protocol/{protocol}", look("getProtocolMetadata"),
		func(ctx context.Context, _ matrix.Caller, p httpx.Path, _ httpx.Empty) (any, error) {
			if a.ThirdParty == nil {
				return nil, noNetwork()
			}
			return a.ThirdParty.Protocol(ctx, p.Var("protocol"))
		})
	for what, specs := range map[string][2]string{
		"location": {"queryLocationByProtocol", "queryLocationByAlias"}, "user": {"queryUserByProtocol", "queryUserByID"},
	} {
		httpx.Handle(r, "GET", path+what+"/{protocol}", look(specs[0]),
			func(ctx context.Context, _ matrix.Caller, p httpx.Path, _ httpx.Empty) ([]json.RawMessage, error) {
				if a.ThirdParty == nil {
					return nil, noNetwork()
				}
				return a.ThirdParty.LookUp(ctx, what, p.Var("protocol"), maps.Clone(p.Query()))
			})
		httpx.Handle(r, "GET", path+what, look(specs[1]),
			func(ctx context.Context, _ matrix.Caller, p httpx.Path, _ httpx.Empty) ([]json.RawMessage, error) {
				return reverse(ctx, a, what, p.Query())
			})
	}
}

func noNetwork() error { return matrix.NotFound("No service bridges a network of that name.") }

// reverse finds the foreign sides of a user or an alias; M_NOT_FOUND when there are none.
func reverse(ctx context.Context, a Appservices, what string, q url.Values) ([]json.RawMessage, error) {
	key := map[string]string{"location": "alias", "user": "userid"}[what]
	if q.Get(key) == "" {
		return nil, matrix.MissingParam("Say what to look up by \"" + key + "\".")
	}
	var found []json.RawMessage
	if a.ThirdParty != nil {
		found = a.ThirdParty.Reverse(ctx, what, key, q.Get(key))
	}
	if len(found) == 0 {
		return nil, matrix.NotFound("Nothing on other networks is known of that.")
	}
	return found, nil
}

// massaged is the time that an application service gives an event; 0 when it gives none.
// Spec: application-service-api/#timestamp-massaging
func massaged(c matrix.Caller, p httpx.Path) (int64, error) {
	text := p.Param("ts")
	if text == "" || c.Appservice == "" {
		return 0, nil
	}
	ts, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ts <= 0 || ts > 1<<53-1 {
		return 0, matrix.InvalidParam("ts must be a time in milliseconds.")
	}
	return ts, nil
}

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
	Homeserver baseURL  `json:"m.homeserver"`
	Identity   *baseURL `json:"m.identity_server,omitempty"`
	Foci       []focus  `json:"org.matrix.msc4143.rtc_foci,omitempty"`
}

// focus is where clients of before MSC4143 had a route find the media server.
type focus struct {
	Type string `json:"type"`
	URL  string `json:"livekit_service_url"`
}

// wellKnownRoutes tells clients where the server is. Without a configured address there is nothing to tell: a client
// that asked here has found it already. Spec: client-server-api/#getwell-knownmatrixclient
func wellKnownRoutes(r *httpx.Router, d Deps) {
	httpx.Handle(r, "GET", "/.well-known/matrix/client", httpx.Route{Spec: "getWellknown"},
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (wellKnown, error) {
			if d.BaseURL == "" {
				return wellKnown{}, matrix.NotFound("This server has no public address configured: set server.public_url.")
			}
			answer := wellKnown{Homeserver: baseURL{d.BaseURL}}
			if d.IdentityURL != "" {
				answer.Identity = &baseURL{d.IdentityURL}
			}
			if d.Calls != "" {
				answer.Foci = []focus{{"livekit", d.Calls}}
			}
			return answer, nil
		})
}

// policyWellKnown tells which key rooms name that this server is to protect, where it speaks with other servers at all.
// Spec: client-server-api/#getwell-knownmatrixpolicy_server
func policyWellKnown(r *httpx.Router, d Deps) {
	type answer struct {
		Keys map[string]string `json:"public_keys"`
	}
	httpx.Handle(r, "GET", "/.well-known/matrix/policy_server", httpx.Route{Spec: "getWellknownPolicy"},
		func(ctx context.Context, _ matrix.Caller, _ httpx.Path, _ httpx.Empty) (answer, error) {
			_, server := d.Users.Tenant(httpx.Host(ctx))
			key := d.Rooms.PolicyKey(server)
			if key == "" {
				return answer{}, matrix.NotFound("This server publishes no key of a policy server.")
			}
			return answer{map[string]string{"ed25519": key}}, nil
		})
}

// Support is where people find help with this server. Spec: client-server-api/#getwell-knownmatrixsupport
type Support struct {
	Contacts []Contact `json:"contacts,omitempty"`
	Page     string    `json:"support_page,omitempty"`
}

// Contact is one way to reach those who run the server.
type Contact struct {
	MatrixID string `json:"matrix_id,omitempty"`
	Email    string `json:"email_address,omitempty"`
	Role     string `json:"role"`
}

// supportRoutes tells people where to find help.
func supportRoutes(r *httpx.Router, s Support) {
	httpx.Handle(r, "GET", "/.well-known/matrix/support", httpx.Route{Spec: "getWellknownSupport"},
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (Support, error) {
			if len(s.Contacts) == 0 && s.Page == "" {
				return s, matrix.NotFound("This server publishes no contacts: set support.contacts or support.page.")
			}
			return s, nil
		})
}

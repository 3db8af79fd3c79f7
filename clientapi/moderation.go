package clientapi

import (
	"context"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type connection struct {
	IP        string `json:"ip,omitempty"`
	LastSeen  int64  `json:"last_seen,omitempty"` // absent: not since it was made
	UserAgent string `json:"user_agent,omitempty"`
}

type whoisSession struct {
	Connections []connection `json:"connections"`
}

type whoisDevice struct {
	Sessions []whoisSession `json:"sessions"`
}

type whois struct {
	UserID  matrix.UserID                   `json:"user_id"`
	Devices map[matrix.DeviceID]whoisDevice `json:"devices"`
}

// moderationRoutes adds what administrators do with accounts. Spec: client-server-api/#account-moderation
func moderationRoutes(r *httpx.Router, s *users.Service) {
	shutRoutes(r, s, "lock", "locked", users.Locked, "getAdminLockUser", "setAdminLockUser")
	shutRoutes(r, s, "suspend", "suspended", users.Suspended, "getAdminSuspendUser", "setAdminSuspendUser")
	httpx.Handle(r, "GET", "/_matrix/client/v3/admin/whois/{userID}", ofUser("getWhoIs"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (whois, error) {
			id, err := p.UserID()
			if err != nil {
				return whois{}, err
			}
			list, err := s.Whois(ctx, c, id)
			out := whois{UserID: id, Devices: map[matrix.DeviceID]whoisDevice{}}
			for _, d := range list {
				seen := whoisSession{Connections: []connection{{IP: d.IP, LastSeen: d.LastSeen}}}
				out.Devices[d.ID] = whoisDevice{Sessions: []whoisSession{seen}}
			}
			return out, err
		})
}

// shutRoutes adds reading and setting one way of shutting an account.
func shutRoutes(r *httpx.Router, s *users.Service, name, key string, way users.Shut, get, set string) {
	path := "/_matrix/client/v1/admin/" + name + "/{userID}"
	httpx.Handle(r, "GET", path, httpx.Route{Access: httpx.Admin, Spec: get},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]bool, error) {
			id, err := p.UserID()
			if err != nil {
				return nil, err
			}
			on, err := s.IsShut(ctx, c, id, way)
			return map[string]bool{key: on}, err
		})
	httpx.Handle(r, "PUT", path, httpx.Route{Access: httpx.Admin, Spec: set},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in map[string]bool) (map[string]bool, error) {
			id, err := p.UserID()
			if err != nil {
				return nil, err
			}
			on, there := in[key]
			if !there {
				return nil, matrix.MissingParam("The request lacks \"" + key + "\".")
			}
			return map[string]bool{key: on}, s.Shut(ctx, c, id, way, on)
		})
}

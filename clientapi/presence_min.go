package clientapi

import (
	"context"
	"encoding/json"

	syncing "rempart/core/sync"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// presenceBody is what a user says of himself.
type presenceBody struct {
	Presence string `json:"presence"`
	Message  string `json:"status_msg"`
}

// presenceRoutes adds presence. Spec: client-server-api/#presence
func presenceRoutes(r *httpx.Router, s *syncing.Service) {
	const path = "/_matrix/client/v3/presence/{userID}/status"
	httpx.Handle(r, "PUT", path, httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: "presence", Spec: "setPresence"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in presenceBody) (httpx.Empty, error) {
			if err := ownPath(c, p); err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, s.SetPresence(ctx, &c, in.Presence, in.Message)
		})
	httpx.Handle(r, "GET", path, httpx.Route{Access: httpx.UserOrGuest, R0: true, Spec: "getPresence"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
			user, err := p.UserID()
			if err != nil {
				return nil, err
			}
			return s.Presence(ctx, &c, user)
		})
}

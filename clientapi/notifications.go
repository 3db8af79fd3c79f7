package clientapi

import (
	"context"
	"strconv"

	syncing "rempart/core/sync"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type notificationsAnswer struct {
	Next          string                 `json:"next_token,omitempty"`
	Notifications []syncing.Notification `json:"notifications"`
}

// notificationRoutes lists what a user was told of. Spec: client-server-api/#get_matrixclientv3notifications
func notificationRoutes(r *httpx.Router, s *syncing.Service) {
	httpx.Handle(r, "GET", "/_matrix/client/v3/notifications",
		httpx.Route{Access: httpx.User, R0: true, Class: "search", Spec: "getNotifications"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (out notificationsAnswer, err error) {
			limit, err := p.QueryInt("limit", 20)
			if err != nil {
				return out, err
			}
			before := int64(0)
			if from := p.Param("from"); from != "" {
				if before, err = strconv.ParseInt(from, 10, 64); err != nil || before <= 0 {
					return out, matrix.InvalidParam("from is no token of this server.")
				}
			}
			var next int64
			out.Notifications, next, err = s.Notifications(ctx, c, before, limit, p.Param("only") == "highlight")
			if next > 0 {
				out.Next = strconv.FormatInt(next, 10)
			}
			return out, err
		})
}

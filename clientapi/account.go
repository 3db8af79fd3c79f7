package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type whoami struct {
	UserID   matrix.UserID   `json:"user_id"`
	DeviceID matrix.DeviceID `json:"device_id,omitempty"`
	IsGuest  bool            `json:"is_guest"`
}

type passwordRequest struct {
	NewPassword   string          `json:"new_password"`
	LogoutDevices *bool           `json:"logout_devices"`
	Auth          json.RawMessage `json:"auth"`
}

type deactivateRequest struct {
	Auth  json.RawMessage `json:"auth"`
	Erase bool            `json:"erase"`
}

// accountRoutes adds what users do with their own accounts. Spec: client-server-api/#account-management
func accountRoutes(r *httpx.Router, s *users.Service) {
	httpx.Handle(r, "GET", "/_matrix/client/v3/account/whoami",
		httpx.Route{Access: httpx.UserOrGuest, R0: true, Spec: "getTokenOwner"},
		func(_ context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (whoami, error) {
			return whoami{c.User, c.Device, c.Guest}, nil
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/account/password", limited(httpx.Route{Access: httpx.Optional, R0: true, Spec: "changePassword"}, "login"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, q passwordRequest) (httpx.Empty, error) {
			keep := q.LogoutDevices != nil && !*q.LogoutDevices
			return httpx.Empty{}, s.ChangePassword(ctx, c, users.PasswordChange{
				NewPassword: q.NewPassword, KeepOthers: keep, Auth: q.Auth, Host: httpx.Host(ctx),
			})
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/account/deactivate", limited(ofUser("deactivateAccount"), "login"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, q deactivateRequest) (map[string]string, error) {
			// Why "no-support": no identity server is used, so none can be asked to unbind anything.
			return map[string]string{"id_server_unbind_result": "no-support"}, s.Deactivate(ctx, c, q.Erase, q.Auth)
		})
}

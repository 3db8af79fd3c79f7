package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type registerRequest struct {
	Type         string          `json:"type"` // set by application services only
	Username     string          `json:"username"`
	Password     string          `json:"password"`
	DeviceID     matrix.DeviceID `json:"device_id"`
	DeviceName   string          `json:"initial_device_display_name"`
	InhibitLogin bool            `json:"inhibit_login"`
	RefreshToken bool            `json:"refresh_token"`
	Auth         json.RawMessage `json:"auth"`
}

// sessionAnswer is what logging in and registering answer.
type sessionAnswer struct {
	UserID       matrix.UserID     `json:"user_id"`
	AccessToken  string            `json:"access_token,omitempty"`
	DeviceID     matrix.DeviceID   `json:"device_id,omitempty"`
	HomeServer   matrix.ServerName `json:"home_server"` // deprecated, and still read by older clients
	RefreshToken string            `json:"refresh_token,omitempty"`
	ExpiresInMS  int64             `json:"expires_in_ms,omitempty"`
}

func answerOf(s *users.Session, err error) (sessionAnswer, error) {
	if err != nil {
		return sessionAnswer{}, err
	}
	return sessionAnswer{s.UserID, s.Token, s.DeviceID, s.UserID.Server(), s.RefreshToken, s.ExpiresIn}, nil
}

// registerFor makes an account for an application service.
// Spec: application-service-api/#server-admin-style-permissions
func registerFor(ctx context.Context, s *users.Service, q registerRequest) (sessionAnswer, error) {
	by, err := s.ServiceOf(httpx.Token(ctx))
	if err != nil {
		return sessionAnswer{}, err
	}
	return answerOf(s.RegisterFor(ctx, by, users.RegisterRequest{
		Username: q.Username, DeviceID: q.DeviceID, DeviceName: q.DeviceName, InhibitLogin: q.InhibitLogin, Refresh: q.RefreshToken,
	}))
}

// registerRoutes adds registration. Spec: client-server-api/#account-registration
func registerRoutes(r *httpx.Router, s *users.Service) {
	httpx.Handle(r, "POST", "/_matrix/client/v3/register", limited(public("register"), "registration"),
		func(ctx context.Context, _ matrix.Caller, p httpx.Path, q registerRequest) (sessionAnswer, error) {
			if q.Type == loginByService {
				return registerFor(ctx, s, q)
			}
			switch p.Query().Get("kind") {
			case "", "user":
			case "guest":
				return answerOf(s.RegisterGuest(ctx, q.DeviceName, httpx.Host(ctx)))
			default:
				return sessionAnswer{}, matrix.InvalidParam("The kind of account must be \"user\" or \"guest\".")
			}
			return answerOf(s.Register(ctx, users.RegisterRequest{
				Username: q.Username, Password: q.Password, DeviceID: q.DeviceID, DeviceName: q.DeviceName,
				InhibitLogin: q.InhibitLogin, Refresh: q.RefreshToken, Auth: q.Auth, Host: httpx.Host(ctx),
			}))
		})
	httpx.Handle(r, "GET", "/_matrix/client/v3/register/available", limited(public("checkUsernameAvailability"), "registration"),
		func(ctx context.Context, _ matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]bool, error) {
			if err := s.Available(ctx, p.Query().Get("username"), httpx.Host(ctx)); err != nil {
				return nil, err
			}
			return map[string]bool{"available": true}, nil
		})
	httpx.Handle(r, "GET", "/_matrix/client/v1/register/m.login.registration_token/validity",
		limited(httpx.Route{Spec: "registrationTokenValidity"}, "registration"),
		func(ctx context.Context, _ matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]bool, error) {
			token := p.Query().Get("token")
			if token == "" {
				return nil, matrix.MissingParam("Say which token by \"token\".")
			}
			ok, err := s.TokenValid(ctx, token)
			return map[string]bool{"valid": ok}, err
		})
}

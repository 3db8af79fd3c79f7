package clientapi

import (
	"context"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type loginRequest struct {
	Type         string           `json:"type"`
	Identifier   users.Identifier `json:"identifier"`
	User         string           `json:"user"`    // before "identifier" existed
	Medium       string           `json:"medium"`  // likewise
	Address      string           `json:"address"` // likewise
	Password     string           `json:"password"`
	DeviceID     matrix.DeviceID  `json:"device_id"`
	DeviceName   string           `json:"initial_device_display_name"`
	RefreshToken bool             `json:"refresh_token"`
	Token        string           `json:"token"` // of type m.login.token
}

// identifier is who logs in, in the form of today. Spec: client-server-api/#identifier-types
func (q *loginRequest) identifier() users.Identifier {
	switch {
	case q.Identifier.Type != "":
		return q.Identifier
	case q.User != "":
		return users.Identifier{Type: "m.id.user", User: q.User}
	case q.Medium != "" || q.Address != "":
		return users.Identifier{Type: "m.id.thirdparty", Medium: q.Medium, Address: q.Address}
	}
	return users.Identifier{}
}

type loginFlow struct {
	Type          string `json:"type"`
	GetLoginToken bool   `json:"get_login_token,omitempty"`
}

// loginByToken is the type of a log-in by a token that another device of the user asked for.
const loginByToken = "m.login.token"

// loginByService is the type of log-ins and registrations by application services.
const loginByService = "m.login.application_service"

type refreshRequest struct {
	RefreshToken string `json:"refresh_token"`
}

type refreshAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	ExpiresInMS  int64  `json:"expires_in_ms,omitempty"`
}

// loginRoutes adds logging in and out. Spec: client-server-api/#login
func loginRoutes(r *httpx.Router, d Deps) {
	s := d.Users
	httpx.Handle(r, "GET", "/_matrix/client/v3/login", public("getLoginFlows"),
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (map[string]any, error) {
			return map[string]any{"flows": []loginFlow{{Type: users.StagePassword}, {Type: loginByToken, GetLoginToken: true},
				{Type: loginByService}}}, nil
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/login", limited(public("login"), "login"),
		func(ctx context.Context, _ matrix.Caller, _ httpx.Path, q loginRequest) (sessionAnswer, error) {
			return d.login(ctx, q)
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/refresh", limited(public("refresh"), "login"),
		func(ctx context.Context, _ matrix.Caller, _ httpx.Path, q refreshRequest) (refreshAnswer, error) {
			if q.RefreshToken == "" {
				return refreshAnswer{}, matrix.MissingParam("The request lacks \"refresh_token\".")
			}
			out, err := s.Refresh(ctx, q.RefreshToken)
			if err != nil {
				return refreshAnswer{}, err
			}
			return refreshAnswer{out.Token, out.RefreshToken, out.ExpiresIn}, nil
		})
	anybody := httpx.Route{Access: httpx.UserOrGuest, R0: true}
	httpx.Handle(r, "POST", "/_matrix/client/v3/logout", named(anybody, "logout"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, s.Logout(ctx, c)
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/logout/all", named(anybody, "logout_all"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, s.LogoutAll(ctx, c)
		})
}

// login checks how often this account was tried, then the password.
func (d Deps) login(ctx context.Context, q loginRequest) (sessionAnswer, error) {
	out := users.LoginRequest{
		Identifier: q.identifier(), Password: q.Password, DeviceID: q.DeviceID, DeviceName: q.DeviceName,
		Refresh: q.RefreshToken, Host: httpx.Host(ctx), IP: seen(ctx).IP,
	}
	switch q.Type {
	case users.StagePassword:
	case loginByService:
		by, err := d.Users.ServiceOf(httpx.Token(ctx))
		if err != nil {
			return sessionAnswer{}, err
		}
		return answerOf(d.Users.LoginFor(ctx, by, out))
	case loginByToken:
		if q.Token == "" {
			return sessionAnswer{}, matrix.MissingParam("The request lacks \"token\".")
		}
		return answerOf(d.Users.LoginByToken(ctx, q.Token, out))
	case "":
		return sessionAnswer{}, matrix.MissingParam("Say how you log in by \"type\".")
	default:
		return sessionAnswer{}, matrix.NewError(400, matrix.CodeUnknown, "This server does not know that way to log in.")
	}
	if name, err := d.Users.Name(out.Identifier, httpx.Host(ctx)); err == nil && d.Limits != nil {
		if err := d.Limits.TakeName("login", string(name)); err != nil {
			return sessionAnswer{}, err
		}
	}
	return answerOf(d.Users.Login(ctx, out))
}

package clientapi

import (
	"context"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type openIDAnswer struct {
	AccessToken string            `json:"access_token"`
	TokenType   string            `json:"token_type"`
	Server      matrix.ServerName `json:"matrix_server_name"`
	ExpiresIn   int64             `json:"expires_in"`
}

type loginTokenAnswer struct {
	LoginToken  string `json:"login_token"`
	ExpiresInMS int64  `json:"expires_in_ms"`
}

// shortTokenRoutes adds the tokens that a user hands to others: to a service that wants to know who he is, and to
// another device of his.
func shortTokenRoutes(r *httpx.Router, s *users.Service) {
	httpx.Handle(r, "POST", "/_matrix/client/v3/user/{userID}/openid/request_token", ofUser("requestOpenIdToken"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (openIDAnswer, error) {
			if err := ownPath(c, p); err != nil {
				return openIDAnswer{}, err
			}
			t, err := s.OpenIDToken(ctx, c)
			return openIDAnswer{t.Token, "Bearer", c.Server, int64(t.Life.Seconds())}, err
		})
	httpx.Handle(r, "POST", "/_matrix/client/v1/login/get_token",
		httpx.Route{Access: httpx.User, Class: "login", Spec: "generateLoginToken"},
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in withAuth) (loginTokenAnswer, error) {
			t, err := s.LoginToken(ctx, c, in.Auth)
			return loginTokenAnswer{t.Token, t.Life.Milliseconds()}, err
		})
}

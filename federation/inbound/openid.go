package inbound

import (
	"context"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type openIDAnswer struct {
	Sub matrix.UserID `json:"sub"`
}

// OpenID adds what services beside this server ask, such as those of calls, also where no other server is spoken to: it tells whoever holds a
// token of a user, which that user has given him, who the user is.
func OpenID(r *httpx.Router, s *users.Service) { openIDRoutes(r, s) }

// openIDRoutes tells whoever holds a user's OpenID token who he is.
// Spec: server-server-api/#get_matrixfederationv1openiduserinfo
func openIDRoutes(r *httpx.Router, s *users.Service) {
	httpx.Handle(r, "GET", "/_matrix/federation/v1/openid/userinfo", open("exchangeOpenIdToken"),
		func(ctx context.Context, _ matrix.Caller, p httpx.Path, _ httpx.Empty) (openIDAnswer, error) {
			token := p.Query().Get("access_token")
			if token == "" {
				return openIDAnswer{}, matrix.MissingToken()
			}
			user, err := s.OpenIDUser(ctx, token)
			return openIDAnswer{user}, err
		})
}

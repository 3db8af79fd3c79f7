package clientapi

import (
	"context"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type secretRegistration struct {
	Nonce        string `json:"nonce"`
	Username     string `json:"username"`
	Password     string `json:"password"`
	DisplayName  string `json:"displayname"`
	Admin        bool   `json:"admin"`
	UserType     string `json:"user_type"`
	MAC          string `json:"mac"`
	InhibitLogin bool   `json:"inhibit_login"`
}

// adminRegisterRoutes adds registration by the shared secret, as operators' tools know it.
func adminRegisterRoutes(r *httpx.Router, s *users.Service) {
	const path = "/_synapse/admin/v1/register"
	route := httpx.Route{Class: "registration"}
	httpx.Handle(r, "GET", path, route,
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (map[string]string, error) {
			nonce, err := s.Nonce()
			return map[string]string{"nonce": nonce}, err
		})
	httpx.Handle(r, "POST", path, route,
		func(ctx context.Context, _ matrix.Caller, _ httpx.Path, q secretRegistration) (sessionAnswer, error) {
			return answerOf(s.RegisterBySecret(ctx, users.SecretRegistration{
				Nonce: q.Nonce, Username: q.Username, Password: q.Password, DisplayName: q.DisplayName, Admin: q.Admin,
				UserType: q.UserType, MAC: q.MAC, InhibitLogin: q.InhibitLogin, Host: httpx.Host(ctx),
			}))
		})
}

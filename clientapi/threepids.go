package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type emailRequest struct {
	ClientSecret string `json:"client_secret"`
	Email        string `json:"email"`
	SendAttempt  int64  `json:"send_attempt"`
}

type threepid struct {
	Medium      string `json:"medium"`
	Address     string `json:"address"`
	ValidatedAt int64  `json:"validated_at"`
	AddedAt     int64  `json:"added_at"`
}

type addThreepid struct {
	users.EmailCreds
	Auth json.RawMessage `json:"auth"`
}

type oldThreepid struct {
	Creds users.EmailCreds `json:"three_pid_creds"`
	Auth  json.RawMessage  `json:"auth"`
}

type removeThreepid struct {
	Medium  string `json:"medium"`
	Address string `json:"address"`
}

// threepidRoutes adds the addresses of people, and the letters that prove them.
// Spec: client-server-api/#adding-account-administrative-contact-information
func threepidRoutes(r *httpx.Router, s *users.Service) {
	const base = "/_matrix/client/v3/account/3pid"
	httpx.Handle(r, "GET", base, ofUser("getAccount3PIDs"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (map[string][]threepid, error) {
			list, err := s.Threepids(ctx, c)
			out := make([]threepid, len(list))
			for i, t := range list {
				out[i] = threepid{t.Medium, t.Address, t.Validated, t.Added}
			}
			return map[string][]threepid{"threepids": out}, err
		})
	httpx.Handle(r, "POST", base+"/add", limited(ofUser("add3PID"), "login"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, q addThreepid) (httpx.Empty, error) {
			return httpx.Empty{}, s.AddThreepid(ctx, c, q.EmailCreds, q.Auth)
		})
	httpx.Handle(r, "POST", base, limited(ofUser("post3PIDs"), "login"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, q oldThreepid) (httpx.Empty, error) {
			return httpx.Empty{}, s.AddThreepid(ctx, c, q.Creds, q.Auth)
		})
	httpx.Handle(r, "POST", base+"/delete", ofUser("delete3pidFromAccount"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, q removeThreepid) (map[string]string, error) {
			return noUnbind(s.DeleteThreepid(ctx, c, q.Medium, q.Address))
		})
	httpx.Handle(r, "POST", base+"/unbind", ofUser("unbind3pidFromAccount"),
		func(context.Context, matrix.Caller, httpx.Path, removeThreepid) (map[string]string, error) {
			return noUnbind(nil)
		})
	httpx.Handle(r, "POST", base+"/bind", ofUser("bind3PID"),
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, errNoIdentityServer()
		})
	emailRoutes(r, s)
	msisdnRoutes(r)
}

// emailRoutes adds the three requests for a letter.
func emailRoutes(r *httpx.Router, s *users.Service) {
	for _, e := range []struct {
		path, spec string
		access     httpx.Access
		purpose    users.EmailPurpose
	}{
		{"register", "requestTokenToRegisterEmail", httpx.Public, users.ForRegistration},
		{"account/password", "requestTokenToResetPasswordEmail", httpx.Public, users.ForReset},
		{"account/3pid", "requestTokenTo3PIDEmail", httpx.Optional, users.ForAccount},
	} {
		httpx.Handle(r, "POST", "/_matrix/client/v3/"+e.path+"/email/requestToken",
			httpx.Route{Access: e.access, R0: true, Class: "registration", Spec: e.spec},
			func(ctx context.Context, c matrix.Caller, _ httpx.Path, q emailRequest) (map[string]string, error) {
				if e.purpose == users.ForAccount && c.User == "" {
					return nil, matrix.MissingToken() // Why asked for: the proof serves this account only
				}
				sid, err := s.RequestEmail(ctx, c, users.EmailRequest{
					Purpose: e.purpose, Email: q.Email, ClientSecret: q.ClientSecret, SendAttempt: q.SendAttempt,
					Host: httpx.Host(ctx), Language: httpx.Language(ctx),
				})
				return map[string]string{"sid": sid}, err
			})
	}
}

// msisdnRoutes answers requests for text messages, which this server does not send.
func msisdnRoutes(r *httpx.Router) {
	for path, spec := range map[string]string{
		"register":         "requestTokenToRegisterMSISDN",
		"account/password": "requestTokenToResetPasswordMSISDN",
		"account/3pid":     "requestTokenTo3PIDMSISDN",
	} {
		httpx.Handle(r, "POST", "/_matrix/client/v3/"+path+"/msisdn/requestToken", limited(public(spec), "registration"),
			func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (httpx.Empty, error) {
				return httpx.Empty{}, matrix.NewError(http.StatusBadRequest, matrix.CodeThreepidMediumNotSupported,
					"This server takes no phone numbers. Use an e-mail address.").French("Ce serveur ne gère pas les numéros de téléphone.")
			})
	}
}

// errNoIdentityServer refuses whatever would publish an address at a third party.
func errNoIdentityServer() *matrix.Error {
	return matrix.NewError(http.StatusBadRequest, matrix.CodeServerNotTrusted, "This server uses no identity server: addresses stay here.").
		French("Ce serveur n'utilise aucun serveur d'identité : les adresses restent ici.")
}

// noUnbind is the answer of requests that would ask an identity server to forget an address: none was ever told.
func noUnbind(err error) (map[string]string, error) {
	return map[string]string{"id_server_unbind_result": "no-support"}, err
}

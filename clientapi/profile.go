package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// profileRoutes adds profiles with their further fields. Spec: client-server-api/#profiles
func profileRoutes(r *httpx.Router, s *users.Service) {
	const path = "/_matrix/client/v3/profile/{userID}"
	const unstable = "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{userID}"
	httpx.Handle(r, "GET", path, also(public("getUserProfile"), unstable),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (users.Profile, error) {
			id, err := p.UserID()
			if err != nil {
				return nil, err
			}
			return s.LookUpProfile(ctx, visitor(ctx, s, c), id)
		})
	httpx.Handle(r, "GET", path+"/{key}", also(public("getProfileField"), unstable+"/{key}"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (users.Profile, error) {
			id, err := p.UserID()
			if err != nil {
				return nil, err
			}
			value, err := s.LookUpProfileField(ctx, visitor(ctx, s, c), id, p.Var("key"))
			if isCode(err, matrix.CodeNotFound) && nothingYet(ctx, s, id, p.Var("key")) {
				return users.Profile{}, nil
			}
			return users.Profile{p.Var("key"): value}, err
		})
	httpx.Handle(r, "PUT", path+"/{key}", also(ofGuest(writing(ofUser("setProfileField"))), unstable+"/{key}"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in map[string]json.RawMessage) (httpx.Empty, error) {
			value, ok := in[p.Var("key")]
			if !ok {
				return httpx.Empty{}, matrix.MissingParam("The body lacks the field that the path names.")
			}
			return httpx.Empty{}, setProfile(ctx, s, c, p, value)
		})
	httpx.Handle(r, "DELETE", path+"/{key}", also(ofGuest(writing(ofUser("deleteProfileField"))), unstable+"/{key}"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, setProfile(ctx, s, c, p, json.RawMessage("null"))
		})
}

// visitor is the caller, or whoever asks without saying who he is: he stands for the server that he asks.
func visitor(ctx context.Context, s *users.Service, c matrix.Caller) matrix.Caller {
	if c.Server == "" {
		_, c.Server = s.Tenant(httpx.Host(ctx))
	}
	return c
}

// nothingYet reports whether an application service asks for a name or picture that a user has not set.
// Why: bridges look before they set them, and take 404 for a failure.
func nothingYet(ctx context.Context, s *users.Service, id matrix.UserID, key string) bool {
	if _, err := s.ServiceOf(httpx.Token(ctx)); err != nil || key != "displayname" && key != "avatar_url" {
		return false
	}
	_, err := s.GetProfile(ctx, id)
	return err == nil
}

func setProfile(ctx context.Context, s *users.Service, c matrix.Caller, p httpx.Path, value json.RawMessage) error {
	id, err := p.UserID()
	if err != nil {
		return err
	}
	if c.Guest && p.Var("key") != "displayname" {
		return matrix.GuestForbidden()
	}
	return s.SetProfileField(ctx, c, id, p.Var("key"), value)
}

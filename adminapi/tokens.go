package adminapi

import (
	"context"
	"encoding/json"

	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type token struct {
	Token     string `json:"token"`
	Uses      *int64 `json:"uses_allowed"`
	Pending   int64  `json:"pending"`
	Completed int64  `json:"completed"`
	Expiry    *int64 `json:"expiry_time"`
}

func tokenOf(t users.RegistrationToken) token {
	out := token{Token: t.Token, Pending: t.Pending, Completed: t.Completed}
	if t.UsesAllowed >= 0 {
		out.Uses = &t.UsesAllowed
	}
	if t.Expires != 0 {
		out.Expiry = &t.Expires
	}
	return out
}

// tokenRoutes adds registration tokens.
func tokenRoutes(r *httpx.Router, d Deps) {
	const all, one = "/v1/registration_tokens", "/v1/registration_tokens/{token}"
	handle(r, "GET", all, func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string][]token, error) {
		valid, err := choice(p, "valid")
		if err != nil {
			return nil, err
		}
		list, err := d.Users.RegistrationTokens(ctx, c, valid)
		out := make([]token, len(list))
		for i, t := range list {
			out[i] = tokenOf(t)
		}
		return map[string][]token{"registration_tokens": out}, err
	})
	type request struct {
		Token  *string `json:"token"`
		Uses   *int64  `json:"uses_allowed"`
		Expiry *int64  `json:"expiry_time"`
		Length *int    `json:"length"`
	}
	handle(r, "POST", all+"/new", func(ctx context.Context, c matrix.Caller, _ httpx.Path, in request) (token, error) {
		t := users.RegistrationToken{UsesAllowed: -1}
		length := 0
		if in.Token != nil {
			if t.Token = *in.Token; t.Token == "" {
				return token{}, matrix.InvalidParam("token must not be empty")
			}
		}
		if in.Length != nil {
			if length = *in.Length; length == 0 {
				return token{}, matrix.InvalidParam("length must be from 1 to 64.")
			}
		}
		if err := bounds(&t, in.Uses, in.Expiry); err != nil {
			return token{}, err
		}
		made, err := d.Users.MakeRegistrationToken(ctx, c, t, length)
		return tokenOf(made), err
	})
	handle(r, "GET", one, func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (token, error) {
		t, err := d.Users.RegistrationToken(ctx, c, p.Var("token"))
		return tokenOf(t), err
	})
	handle(r, "PUT", one, func(ctx context.Context, c matrix.Caller, p httpx.Path, in map[string]json.RawMessage) (token, error) {
		var uses, expiry *int64
		if matrix.Decode(or(in["uses_allowed"]), &uses) != nil || matrix.Decode(or(in["expiry_time"]), &expiry) != nil {
			return token{}, matrix.InvalidParam("uses_allowed and expiry_time must be whole numbers or null.")
		}
		if err := bounds(&users.RegistrationToken{}, uses, expiry); err != nil {
			return token{}, err
		}
		t, err := d.Users.ChangeRegistrationToken(ctx, c, p.Var("token"), func(t *users.RegistrationToken) {
			if _, given := in["uses_allowed"]; given {
				if t.UsesAllowed = -1; uses != nil {
					t.UsesAllowed = *uses
				}
			}
			if _, given := in["expiry_time"]; given {
				if t.Expires = 0; expiry != nil {
					t.Expires = *expiry
				}
			}
		})
		return tokenOf(t), err
	})
	handle(r, "DELETE", one, func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
		return httpx.Empty{}, d.Users.DeleteRegistrationToken(ctx, c, p.Var("token"))
	})
}

// or is a JSON value, or null where there is none.
func or(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage(`null`)
	}
	return raw
}

// bounds sets how often and how long a token serves.
func bounds(t *users.RegistrationToken, uses, expiry *int64) error {
	if uses != nil {
		if t.UsesAllowed = *uses; *uses < 0 {
			return matrix.InvalidParam("uses_allowed must be a non-negative integer or null")
		}
	}
	if expiry != nil {
		if t.Expires = *expiry; *expiry <= 0 {
			return matrix.InvalidParam("expiry_time must not be in the past")
		}
	}
	return nil
}

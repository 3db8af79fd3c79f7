package adminapi

import (
	"context"

	"rempart/core/admin"
	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// userActRoutes adds what is done with one account.
func userActRoutes(r *httpx.Router, d Deps) {
	type erase struct {
		Erase bool `json:"erase"`
	}
	ofUser(r, "POST", "/v1/deactivate/{userID}",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in erase) (map[string]string, error) {
			// Why "no-support": nothing is bound at an identity server, so nothing is unbound there.
			return map[string]string{"id_server_unbind_result": "no-support"}, d.Users.DeactivateBy(ctx, c, id, in.Erase)
		})
	type suspension struct {
		Suspend *bool `json:"suspend"`
	}
	ofUser(r, "PUT", "/v1/suspend/{userID}",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in suspension) (map[string]bool, error) {
			if in.Suspend == nil {
				return nil, matrix.MissingParam("Missing suspend")
			}
			key := "user_" + string(id) + "_suspended"
			return map[string]bool{key: *in.Suspend}, d.Users.Shut(ctx, c, id, users.Suspended, *in.Suspend)
		})
	type password struct {
		NewPassword string `json:"new_password"`
		Logout      *bool  `json:"logout_devices"`
	}
	ofUser(r, "POST", "/v1/reset_password/{userID}",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in password) (httpx.Empty, error) {
			if in.NewPassword == "" {
				return httpx.Empty{}, matrix.MissingParam("Missing new_password")
			}
			return httpx.Empty{}, d.Users.PasswordBy(ctx, c, id, in.NewPassword, in.Logout != nil && !*in.Logout)
		})
	adminFlag(r, d)
	type login struct {
		Until *int64 `json:"valid_until_ms"`
	}
	ofUser(r, "POST", "/v1/users/{userID}/login",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in login) (map[string]string, error) {
			until := int64(0)
			if in.Until != nil {
				until = max(*in.Until, 1)
			}
			token, err := d.Users.LoginAs(ctx, c, id, until)
			return map[string]string{"access_token": token}, err
		})
	ofUser(r, "POST", "/v1/users/{userID}/_allow_cross_signing_replacement_without_uia",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (map[string]int64, error) {
			until, err := d.Users.OpenKeyWindow(ctx, c, id)
			return map[string]int64{"updatable_without_uia_before_ms": until}, err
		})
	type validity struct {
		User   matrix.UserID `json:"user_id"`
		Expiry *int64        `json:"expiration_ts"`
	}
	handle(r, "POST", "/v1/account_validity/validity", func(ctx context.Context, c matrix.Caller, _ httpx.Path, in validity) (map[string]int64, error) {
		if in.User == "" {
			return nil, matrix.MissingParam("Missing property 'user_id' in the request body")
		}
		until := int64(0)
		if in.Expiry != nil {
			until = max(*in.Expiry, 1)
		}
		at, err := d.Users.RenewUntil(ctx, c, in.User, until)
		return map[string]int64{"expiration_ts": at}, err
	})
}

// adminFlag adds reading and setting who administers.
func adminFlag(r *httpx.Router, d Deps) {
	ofUser(r, "GET", "/v1/users/{userID}/admin",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (map[string]bool, error) {
			a, err := d.Admin.Account(ctx, c, id)
			if err != nil {
				return nil, err
			}
			return map[string]bool{"admin": admin.MarksOf(a.Flags).Admin}, nil
		})
	type flag struct {
		Admin *bool `json:"admin"`
	}
	ofUser(r, "PUT", "/v1/users/{userID}/admin",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in flag) (httpx.Empty, error) {
			if in.Admin == nil {
				return httpx.Empty{}, matrix.MissingParam("Missing admin")
			}
			if _, err := d.Users.Managed(ctx, c, id); err != nil {
				return httpx.Empty{}, err
			}
			_, err := d.Users.Manage(ctx, c, id, users.Account{Admin: in.Admin})
			return httpx.Empty{}, err
		})
}

// limitRoutes adds shadow bans and own rate limits.
func limitRoutes(r *httpx.Router, d Deps) {
	for method, on := range map[string]bool{"POST": true, "DELETE": false} {
		ofUser(r, method, "/v1/users/{userID}/shadow_ban",
			func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
				return httpx.Empty{}, d.Users.ShadowBan(ctx, c, id, on)
			})
	}
	const path = "/v1/users/{userID}/override_ratelimit"
	ofUser(r, "GET", path, func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (map[string]int64, error) {
		own, err := d.Admin.OwnRate(ctx, c, id)
		if own == nil || err != nil {
			return map[string]int64{}, err
		}
		return map[string]int64{"messages_per_second": own.PerSecond, "burst_count": own.Burst}, nil
	})
	type rate struct {
		PerSecond int64 `json:"messages_per_second"`
		Burst     int64 `json:"burst_count"`
	}
	ofUser(r, "POST", path, func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in rate) (rate, error) {
		return in, d.Users.OwnRate(ctx, c, id, in.PerSecond, in.Burst)
	})
	ofUser(r, "DELETE", path, func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
		return httpx.Empty{}, d.Users.UsualRate(ctx, c, id)
	})
}

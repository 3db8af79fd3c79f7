package inbound

import (
	"context"
	"encoding/json"
	"maps"

	"rempart/core/devices"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type keysRequest struct {
	DeviceKeys map[matrix.UserID][]matrix.DeviceID `json:"device_keys"`
}

type userKeysAnswer struct {
	DeviceKeys  map[matrix.UserID]map[matrix.DeviceID]json.RawMessage `json:"device_keys"`
	Master      map[matrix.UserID]json.RawMessage                     `json:"master_keys,omitempty"`
	SelfSigning map[matrix.UserID]json.RawMessage                     `json:"self_signing_keys,omitempty"`
}

type claimRequest struct {
	OneTimeKeys devices.ClaimRequest `json:"one_time_keys"`
}

type claimAnswer struct {
	OneTimeKeys devices.Claimed `json:"one_time_keys"`
}

// maxKeyUsers bounds how many users one request asks about.
const maxKeyUsers = 5000

// deviceRoutes answers about the devices of our users. Spec: server-server-api/#device-management and #end-to-end-encryption
func deviceRoutes(r *httpx.Router, s *devices.Service) {
	httpx.Handle(r, "GET", "/_matrix/federation/v1/user/devices/{userID}", signed("getUserDevices"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*devices.ServedList, error) {
			user, err := p.UserID()
			if err == nil && user.Server() != c.Destination {
				err = matrix.NotFound("There is no such user here.")
			}
			if err != nil {
				return nil, err
			}
			return s.ServeDevices(ctx, user)
		})
	httpx.Handle(r, "POST", "/_matrix/federation/v1/user/keys/query", signed("queryUserEncryptionKeys"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, q keysRequest) (a userKeysAnswer, err error) {
			if len(q.DeviceKeys) > maxKeyUsers {
				return a, matrix.TooLarge("Ask about fewer users at once.")
			}
			keepOwn(c, q.DeviceKeys)
			keys, err := s.ServeKeys(ctx, q.DeviceKeys)
			if err != nil {
				return a, err
			}
			return userKeysAnswer{keys.DeviceKeys, keys.Master, keys.SelfSigning}, nil
		})
	httpx.Handle(r, "POST", "/_matrix/federation/v1/user/keys/claim", signed("claimUserEncryptionKeys"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, q claimRequest) (a claimAnswer, err error) {
			if len(q.OneTimeKeys) > maxKeyUsers {
				return a, matrix.TooLarge("Ask about fewer users at once.")
			}
			keepOwn(c, q.OneTimeKeys)
			claimed, _, err := s.ClaimKeys(ctx, c.Destination, q.OneTimeKeys)
			return claimAnswer{claimed}, err
		})
}

// keepOwn leaves out users of other servers than the one that was asked. Why also of those of this installation: each of its servers has
// a policy of its own, and is asked by its own name.
func keepOwn[T any](c matrix.Caller, asked map[matrix.UserID]T) {
	maps.DeleteFunc(asked, func(user matrix.UserID, _ T) bool { return user.Server() != c.Destination })
}

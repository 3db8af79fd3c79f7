package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/devices"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type keyCounts struct {
	Counts map[string]int64 `json:"one_time_key_counts"`
}

type queryRequest struct {
	DeviceKeys map[matrix.UserID][]matrix.DeviceID `json:"device_keys"`
}

type claimRequest struct {
	OneTimeKeys devices.ClaimRequest `json:"one_time_keys"`
}

type claimAnswer struct {
	OneTimeKeys devices.Claimed                       `json:"one_time_keys"`
	Failures    map[matrix.ServerName]devices.Failure `json:"failures"`
}

// AppendJSON writes the answer without reading the keys anew.
func (a claimAnswer) AppendJSON(dst []byte) ([]byte, error) {
	failures, err := json.Marshal(a.Failures)
	dst = a.OneTimeKeys.AppendJSON(append(dst, `{"one_time_keys":`...))
	return append(append(append(dst, `,"failures":`...), failures...), '}'), err
}

// keysRoutes adds identity keys and one-time keys. Spec: client-server-api/#key-management-api
func keysRoutes(r *httpx.Router, s *devices.Service) {
	keys := httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: "keys"}
	httpx.Handle(r, "POST", "/_matrix/client/v3/keys/upload", named(keys, "uploadKeys"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in devices.Upload) (keyCounts, error) {
			counts, err := s.UploadKeys(ctx, c, in)
			return keyCounts{counts}, err
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/keys/query", named(keys, "queryKeys"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in queryRequest) (*devices.Keys, error) {
			if in.DeviceKeys == nil {
				return nil, matrix.MissingParam("The request lacks \"device_keys\".")
			}
			return s.QueryKeys(ctx, c, in.DeviceKeys)
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/keys/claim", named(keys, "claimKeys"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in claimRequest) (claimAnswer, error) {
			if in.OneTimeKeys == nil {
				return claimAnswer{}, matrix.MissingParam("The request lacks \"one_time_keys\".")
			}
			claimed, failures, err := s.ClaimKeys(ctx, c.User.Server(), in.OneTimeKeys)
			return claimAnswer{claimed, failures}, err
		})
	httpx.Handle(r, "GET", "/_matrix/client/v3/keys/changes", named(keys, "getKeysChanges"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (devices.Changes, error) {
			return s.KeyChanges(ctx, c, p.Query().Get("from"), p.Query().Get("to"))
		})
}

type crossSigningRequest struct {
	devices.CrossSigning
	Auth json.RawMessage `json:"auth"`
}

type signaturesAnswer struct {
	Failures map[matrix.UserID]map[string]devices.Failure `json:"failures"`
}

// crossSigningRoutes adds cross-signing. Spec: client-server-api/#cross-signing
func crossSigningRoutes(r *httpx.Router, d Deps) {
	keys := httpx.Route{Access: httpx.User, R0: true, Class: "keys"}
	httpx.Handle(r, "POST", "/_matrix/client/v3/keys/device_signing/upload",
		also(named(keys, "uploadCrossSigningKeys"), "/_matrix/client/unstable/keys/device_signing/upload"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in crossSigningRequest) (httpx.Empty, error) {
			plan, err := d.Devices.PlanCrossSigning(ctx, c, in.CrossSigning)
			if err != nil {
				return httpx.Empty{}, err
			}
			if plan.NeedsAuth {
				if open, err := d.Users.InKeyWindow(ctx, c); err != nil {
					return httpx.Empty{}, err
				} else if !open {
					err = d.authenticateAnew(ctx, c, "replace cross-signing keys", in.Auth)
					if err != nil {
						return httpx.Empty{}, err
					}
				}
			}
			return httpx.Empty{}, d.Devices.StoreCrossSigning(ctx, plan)
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/keys/signatures/upload",
		also(named(keys, "uploadCrossSigningSignatures"), "/_matrix/client/unstable/keys/signatures/upload"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in devices.Signatures) (signaturesAnswer, error) {
			failures, err := d.Devices.UploadSignatures(ctx, c, in)
			return signaturesAnswer{failures}, err
		})
}

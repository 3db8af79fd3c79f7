package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/pushers"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type pushersAnswer struct {
	Pushers []pushers.Pusher `json:"pushers"`
}

// pusherBody is a pusher as a client sets it. Why Kind is raw: null removes it, and its absence is a mistake.
type pusherBody struct {
	PushKey    string          `json:"pushkey"`
	AppID      string          `json:"app_id"`
	Kind       json.RawMessage `json:"kind"`
	AppName    *string         `json:"app_display_name"`
	DeviceName *string         `json:"device_display_name"`
	ProfileTag string          `json:"profile_tag"`
	Lang       *string         `json:"lang"`
	Data       json.RawMessage `json:"data"`
	Append     bool            `json:"append"`
	Enabled    *bool           `json:"org.matrix.msc3881.enabled"`
}

func (b *pusherBody) setting() (pushers.Setting, error) {
	s := pushers.Setting{PushKey: b.PushKey, AppID: b.AppID, AppName: b.AppName, DeviceName: b.DeviceName, ProfileTag: b.ProfileTag,
		Lang: b.Lang, Data: b.Data, Append: b.Append, Enabled: b.Enabled}
	if b.Kind == nil {
		return s, matrix.MissingParam("A pusher needs a kind: http, or null to remove it.")
	}
	if string(b.Data) == "null" {
		s.Data = nil
	}
	if err := matrix.Decode(b.Kind, &s.Kind); err != nil {
		return s, matrix.BadJSON("The kind of a pusher is a text or null.")
	}
	return s, nil
}

// pusherRoutes adds where users want to be notified. Spec: client-server-api/#push-notifications
func pusherRoutes(r *httpx.Router, s *pushers.Service) {
	httpx.Handle(r, "GET", "/_matrix/client/v3/pushers", ofUser("getPushers"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (pushersAnswer, error) {
			list, err := s.List(ctx, c)
			return pushersAnswer{list}, err
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/pushers/set", ofUser("postPusher"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in pusherBody) (httpx.Empty, error) {
			setting, err := in.setting()
			if err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, s.Set(ctx, c, setting)
		})
}

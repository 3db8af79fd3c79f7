package adminapi

import (
	"context"
	"encoding/json"

	"rempart/core/admin"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type device struct {
	ID            matrix.DeviceID `json:"device_id"`
	DisplayName   *string         `json:"display_name"`
	LastSeenIP    *string         `json:"last_seen_ip"`
	LastSeenAgent *string         `json:"last_seen_user_agent"`
	LastSeenTS    *int64          `json:"last_seen_ts"`
	UserID        matrix.UserID   `json:"user_id"`
	Dehydrated    bool            `json:"dehydrated"`
}

func deviceOf(d admin.Device, user matrix.UserID) device {
	out := device{ID: d.ID, DisplayName: nullable(d.DisplayName), LastSeenIP: nullable(d.IP), LastSeenAgent: nullable(d.UserAgent), UserID: user}
	if d.LastSeen != 0 {
		out.LastSeenTS = &d.LastSeen
	}
	return out
}

// deviceRoutes adds the devices of a user.
func deviceRoutes(r *httpx.Router, d Deps) {
	const all, one = "/v2/users/{userID}/devices", "/v2/users/{userID}/devices/{deviceID}"
	ofUser(r, "GET", all, func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
		list, err := d.Admin.Devices(ctx, c, id)
		out := make([]device, len(list))
		for i, v := range list {
			out[i] = deviceOf(v, id)
		}
		return map[string]any{"devices": out, "total": len(out)}, err
	})
	type newDevice struct {
		ID matrix.DeviceID `json:"device_id"`
	}
	ofUser(r, "POST", all, func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in newDevice) (httpx.Empty, error) {
		return httpx.Empty{}, d.Admin.AddDevice(ctx, c, id, in.ID)
	})
	ofUser(r, "GET", one, func(ctx context.Context, c matrix.Caller, id matrix.UserID, p httpx.Path, _ httpx.Empty) (device, error) {
		v, err := d.Admin.Device(ctx, c, id, matrix.DeviceID(p.Var("deviceID")))
		return deviceOf(v, id), err
	})
	type name struct {
		Name *string `json:"display_name"`
	}
	ofUser(r, "PUT", one, func(ctx context.Context, c matrix.Caller, id matrix.UserID, p httpx.Path, in name) (httpx.Empty, error) {
		return httpx.Empty{}, d.Admin.RenameDevice(ctx, c, id, matrix.DeviceID(p.Var("deviceID")), in.Name)
	})
	ofUser(r, "DELETE", one, func(ctx context.Context, c matrix.Caller, id matrix.UserID, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
		return httpx.Empty{}, d.Admin.DeleteDevices(ctx, c, id, []matrix.DeviceID{matrix.DeviceID(p.Var("deviceID"))})
	})
	type some struct {
		Devices []matrix.DeviceID `json:"devices"`
	}
	ofUser(r, "POST", "/v2/users/{userID}/delete_devices",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, in some) (httpx.Empty, error) {
			if in.Devices == nil {
				return httpx.Empty{}, matrix.MissingParam("Missing devices")
			}
			return httpx.Empty{}, d.Admin.DeleteDevices(ctx, c, id, in.Devices)
		})
}

type pusher struct {
	AppName    string          `json:"app_display_name"`
	AppID      string          `json:"app_id"`
	Data       json.RawMessage `json:"data"`
	DeviceName string          `json:"device_display_name"`
	Kind       string          `json:"kind"`
	Lang       string          `json:"lang"`
	ProfileTag string          `json:"profile_tag"`
	PushKey    string          `json:"pushkey"`
	Enabled    bool            `json:"enabled"`
}

// pusherRoutes adds where a user wants to be notified.
func pusherRoutes(r *httpx.Router, d Deps) {
	ofUser(r, "GET", "/v1/users/{userID}/pushers",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			list, err := d.Admin.Pushers(ctx, c, id)
			out := make([]pusher, len(list))
			for i, p := range list {
				out[i] = pusher{p.AppName, p.AppID, p.Data, p.DeviceName, p.Kind, p.Lang, p.ProfileTag, p.PushKey, p.Enabled}
			}
			return map[string]any{"pushers": out, "total": len(out)}, err
		})
}

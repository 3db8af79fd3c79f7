package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/devices"
	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type deviceUpdate struct {
	DisplayName *string `json:"display_name"`
}

type withAuth struct {
	Auth json.RawMessage `json:"auth"`
}

type deleteDevices struct {
	Devices []matrix.DeviceID `json:"devices"`
	Auth    json.RawMessage   `json:"auth"`
}

type deviceList struct {
	Devices []devices.Device `json:"devices"`
}

// deviceRoutes adds a user's list of devices. Spec: client-server-api/#device-management
func deviceRoutes(r *httpx.Router, d Deps) {
	s := d.Devices
	const one = "/_matrix/client/v3/devices/{deviceID}"
	httpx.Handle(r, "GET", "/_matrix/client/v3/devices", ofGuest(ofUser("getDevices")),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (deviceList, error) {
			list, err := s.List(ctx, c)
			return deviceList{list}, err
		})
	httpx.Handle(r, "GET", one, ofGuest(ofUser("getDevice")),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (devices.Device, error) {
			return s.Get(ctx, c, matrix.DeviceID(p.Var("deviceID")))
		})
	httpx.Handle(r, "PUT", one, ofGuest(ofUser("updateDevice")),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in deviceUpdate) (httpx.Empty, error) {
			return httpx.Empty{}, s.Rename(ctx, c, matrix.DeviceID(p.Var("deviceID")), in.DisplayName)
		})
	httpx.Handle(r, "DELETE", one, limited(ofUser("deleteDevice"), "login"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in withAuth) (httpx.Empty, error) {
			id := matrix.DeviceID(p.Var("deviceID"))
			if err := d.authenticateAnew(ctx, c, "delete device "+string(id), in.Auth); err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, s.Delete(ctx, c, []matrix.DeviceID{id})
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/delete_devices", limited(ofUser("deleteDevices"), "login"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in deleteDevices) (httpx.Empty, error) {
			if in.Devices == nil {
				return httpx.Empty{}, matrix.MissingParam("The request lacks \"devices\".")
			}
			if err := d.authenticateAnew(ctx, c, "delete devices", in.Auth); err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, s.Delete(ctx, c, in.Devices)
		})
}

// authenticateAnew lets a request pass when the caller has shown his password once more.
func (d Deps) authenticateAnew(ctx context.Context, c matrix.Caller, operation string, auth json.RawMessage) error {
	if c.Appservice != "" { // Spec: application-service-api/#device-management
		return nil
	}
	_, err := d.Users.Interact(ctx, users.Interaction{
		Operation: operation, User: c, Flows: [][]string{{users.StagePassword}}, Auth: auth,
	})
	return err
}

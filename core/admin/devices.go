package admin

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxDevice bounds the id of a device in bytes, maxDeviceName its display name.
const (
	maxDevice     = 512
	maxDeviceName = 400
)

// Devices lists the devices of a user.
func (s *Service) Devices(ctx context.Context, admin matrix.Caller, id matrix.UserID) ([]storage.DeviceSeen, error) {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return nil, err
	}
	return s.DB.ListDevicesSeen(ctx, user.NID)
}

// Device reads one device of a user.
func (s *Service) Device(ctx context.Context, admin matrix.Caller, id matrix.UserID, device matrix.DeviceID) (storage.DeviceSeen, error) {
	all, err := s.Devices(ctx, admin, id)
	for _, d := range all {
		if d.ID == device {
			return d, err
		}
	}
	if err == nil {
		err = noDevice()
	}
	return storage.DeviceSeen{}, err
}

func noDevice() error { return matrix.NotFound("No device found") }

// AddDevice makes a device for a user, unless he has it.
func (s *Service) AddDevice(ctx context.Context, admin matrix.Caller, id matrix.UserID, device matrix.DeviceID) error {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return err
	}
	if device == "" {
		return matrix.MissingParam("Missing device_id")
	}
	if len(device) > maxDevice {
		return matrix.InvalidParam("The device_id is too long: at most 512 bytes.")
	}
	nid, err := s.DB.NewID(ctx, storage.DeviceNIDs)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	c.Guard(storage.InsertDevice(storage.Device{NID: nid, User: user.NID, ID: device, Created: s.nowMS()}, &nid))
	listChanged(c, user.NID)
	return s.act(ctx, c, admin, "device.create", string(id), map[string]any{"device_id": device})
}

// RenameDevice gives a device another display name; nil leaves it.
func (s *Service) RenameDevice(ctx context.Context, admin matrix.Caller, id matrix.UserID, device matrix.DeviceID, name *string) error {
	d, err := s.Device(ctx, admin, id, device)
	if err != nil || name == nil {
		return err
	}
	if len(*name) > maxDeviceName {
		return matrix.InvalidParam("The display name of a device may have at most 400 bytes.")
	}
	c := &storage.Change{}
	c.Guard(storage.UpdateDeviceName(d.NID, *name).OrElse(noDevice()))
	listChanged(c, d.User)
	return s.act(ctx, c, admin, "device.rename", string(id), map[string]any{"device_id": device})
}

// DeleteDevices removes devices of a user with their sessions; unknown ones are passed over.
func (s *Service) DeleteDevices(ctx context.Context, admin matrix.Caller, id matrix.UserID, devices []matrix.DeviceID) error {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	for _, device := range devices {
		nid, err := s.DB.FindDeviceNID(ctx, user.NID, device)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		c.Guard(storage.DeleteDevice(user.NID, nid, device)...)
	}
	if len(c.Guards) == 0 {
		return nil
	}
	listChanged(c, user.NID)
	c.Live(storage.Live{Kind: storage.KindSession, User: user.NID})
	return s.act(ctx, c, admin, "device.delete", string(id), map[string]any{"devices": devices})
}

// listChanged tells everybody who shares a room with a user that his devices changed.
func listChanged(c *storage.Change, user int64) {
	live := c.Live(storage.Live{Kind: storage.KindDeviceList, User: user})
	c.Add(&storage.DeviceListRow{At: storage.At{Live: live + 1}, User: user})
}

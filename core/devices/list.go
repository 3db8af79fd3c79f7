package devices

import (
	"context"
	"errors"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxName bounds the display name of a device in bytes.
const maxName = 400

// Device is a device as its owner sees it.
type Device struct {
	ID          matrix.DeviceID `json:"device_id"`
	DisplayName string          `json:"display_name,omitempty"`
	LastSeenIP  string          `json:"last_seen_ip,omitempty"`
	LastSeenTS  int64           `json:"last_seen_ts,omitempty"`
}

func shown(d storage.Device) Device {
	return Device{ID: d.ID, DisplayName: d.DisplayName, LastSeenIP: d.IP, LastSeenTS: max(d.LastSeen, d.Created)}
}

// List lists the caller's devices. Spec: client-server-api/#get_matrixclientv3devices
func (s *Service) List(ctx context.Context, c matrix.Caller) ([]Device, error) {
	found, err := s.db.ListDevices(ctx, c.UserNID)
	out := make([]Device, len(found))
	for i, d := range found {
		out[i] = shown(d)
	}
	return out, err
}

// Get reads one of the caller's devices. Spec: client-server-api/#get_matrixclientv3devicesdeviceid
func (s *Service) Get(ctx context.Context, c matrix.Caller, id matrix.DeviceID) (Device, error) {
	d, err := s.db.FindDevice(ctx, c.UserNID, id)
	if errors.Is(err, storage.ErrNotFound) {
		return Device{}, noDevice()
	}
	return shown(d), err
}

func noDevice() error { return matrix.NotFound("You have no device of that id.") }

// Rename gives one of the caller's devices another display name. Spec: client-server-api/#put_matrixclientv3devicesdeviceid
func (s *Service) Rename(ctx context.Context, c matrix.Caller, id matrix.DeviceID, name *string) error {
	nid, err := s.db.FindDeviceNID(ctx, c.UserNID, id)
	if errors.Is(err, storage.ErrNotFound) && c.Appservice != "" {
		return s.add(ctx, c, id, name)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return noDevice()
	}
	if err != nil || name == nil {
		return err
	}
	if len(*name) > maxName {
		return matrix.InvalidParam("The display name of a device may have at most 400 bytes.")
	}
	change := &storage.Change{}
	change.Guard(storage.UpdateDeviceName(nid, *name).OrElse(noDevice()))
	listChanged(change, c.UserNID)
	return s.db.Commit(ctx, change)
}

// maxID bounds the id of a device in bytes.
const maxID = 512

// add makes a device without a session, as application services may.
// Spec: application-service-api/#creating-devices
func (s *Service) add(ctx context.Context, c matrix.Caller, id matrix.DeviceID, name *string) error {
	if id == "" || len(id) > maxID || strings.ContainsRune(string(id), 0) {
		return matrix.InvalidParam("The id of a device has 1 to 512 bytes.")
	}
	d := storage.Device{User: c.UserNID, ID: id, Created: s.now().UnixMilli()}
	if name != nil {
		d.DisplayName = *name
	}
	if len(d.DisplayName) > maxName {
		return matrix.InvalidParam("The display name of a device may have at most 400 bytes.")
	}
	var err error
	if d.NID, err = s.db.NewID(ctx, storage.DeviceNIDs); err != nil {
		return err
	}
	change := &storage.Change{}
	change.Guard(storage.InsertDevice(d, new(int64)))
	listChanged(change, c.UserNID)
	return s.db.Commit(ctx, change)
}

// Delete removes some of the caller's devices with their sessions, keys and messages; unknown ones are passed over. The
// entrance has authenticated him anew. Spec: client-server-api/#post_matrixclientv3delete_devices
func (s *Service) Delete(ctx context.Context, c matrix.Caller, ids []matrix.DeviceID) error {
	change := &storage.Change{}
	for _, id := range ids {
		nid, err := s.db.FindDeviceNID(ctx, c.UserNID, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		change.Guard(storage.DeleteDevice(c.UserNID, nid, id)...)
	}
	if len(change.Guards) == 0 {
		return nil
	}
	listChanged(change, c.UserNID)
	change.Live(storage.Live{Kind: storage.KindSession, User: c.UserNID})
	return s.db.Commit(ctx, change)
}

package devices

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"rempart/internal/matrix"
	"rempart/storage"
)

const (
	// maxDehydrated bounds the data of a dehydrated device, which holds the private halves of its one-time keys.
	maxDehydrated = 256 << 10
	// maxDeviceID bounds the id of a device in bytes.
	maxDeviceID = 512
	// eventsBatch is how many messages of a dehydrated device one answer has.
	eventsBatch = 100
)

// Dehydration is a device that a client leaves here, to take in room keys while its user has no other. MSC3814.
type Dehydration struct {
	Upload
	ID   matrix.DeviceID `json:"device_id"`
	Data json.RawMessage `json:"device_data"`
	Name string          `json:"initial_device_display_name"`
}

// Dehydrated is what a client needs to make use of the device that was left.
type Dehydrated struct {
	ID   matrix.DeviceID `json:"device_id"`
	Data json.RawMessage `json:"device_data"`
}

// DeviceEvents are messages that a dehydrated device received. Next is "" when there are no more.
type DeviceEvents struct {
	Events []DeviceEvent `json:"events"`
	Next   string        `json:"next_batch,omitempty"`
}

// DeviceEvent is one of them.
type DeviceEvent struct {
	Type    string          `json:"type"`
	Sender  string          `json:"sender"`
	Content json.RawMessage `json:"content"`
}

// Dehydrate stores a dehydrated device of the caller with its keys, in place of the one that was there. MSC3814.
func (s *Service) Dehydrate(ctx context.Context, c matrix.Caller, d Dehydration) error {
	if err := d.check(); err != nil {
		return err
	}
	nid, err := s.db.NewID(ctx, storage.DeviceNIDs)
	if err != nil {
		return err
	}
	// Why a caller of its own: keys are checked as if the device had uploaded them itself.
	self := matrix.Caller{User: c.User, UserNID: c.UserNID, Device: d.ID, DeviceNID: nid}
	body, err := parseIdentity(self, d.DeviceKeys)
	if err != nil {
		return err
	}
	change := &storage.Change{}
	change.Guard(storage.DeleteDehydrated(c.UserNID)...)
	change.Guard(storage.InsertNewDevice(storage.Device{
		NID: nid, User: c.UserNID, ID: d.ID, DisplayName: d.Name, Created: s.now().UnixMilli(),
	}).OrElse(matrix.InvalidParam("You have a device of that id already: a dehydrated one needs its own.")))
	change.Add(&storage.DehydratedRow{Dehydrated: storage.Dehydrated{User: c.UserNID, Device: nid, Data: d.Data}})
	change.Add(&storage.DeviceKeysRow{User: c.UserNID, Device: d.ID, Body: body})
	if err := s.addOneTimeKeys(ctx, change, self, d.OneTimeKeys); err != nil {
		return err
	}
	if err := addFallbackKeys(change, self, d.FallbackKeys); err != nil {
		return err
	}
	listChanged(change, c.UserNID)
	return s.db.Commit(ctx, change)
}

func (d *Dehydration) check() error {
	var data struct {
		Algorithm string `json:"algorithm"`
	}
	switch {
	case d.ID == "" || len(d.DeviceKeys) == 0 || len(d.Data) == 0:
		return matrix.MissingParam("A dehydrated device needs \"device_id\", \"device_data\" and \"device_keys\".")
	case len(d.ID) > maxDeviceID:
		return matrix.InvalidParam("The id of a device may have at most 512 bytes.")
	case len(d.Name) > maxName:
		return matrix.InvalidParam("The display name of a device may have at most 400 bytes.")
	case len(d.Data) > maxDehydrated:
		return matrix.TooLarge("The data of a dehydrated device may have at most 256 KiB.")
	case matrix.Decode(d.Data, &data) != nil || data.Algorithm == "":
		return matrix.BadJSON("The device_data must be an object with an \"algorithm\".")
	}
	return nil
}

// FindDehydrated is the caller's dehydrated device; M_NOT_FOUND when he has none. MSC3814.
func (s *Service) FindDehydrated(ctx context.Context, c matrix.Caller) (Dehydrated, error) {
	d, err := s.db.FindDehydrated(ctx, c.UserNID)
	if errors.Is(err, storage.ErrNotFound) {
		return Dehydrated{}, matrix.NotFound("You have no dehydrated device.")
	}
	return Dehydrated{d.ID, d.Data}, err
}

// DeleteDehydrated removes the caller's dehydrated device and answers what it was called. MSC3814.
func (s *Service) DeleteDehydrated(ctx context.Context, c matrix.Caller) (matrix.DeviceID, error) {
	d, err := s.FindDehydrated(ctx, c)
	if err != nil {
		return "", err
	}
	change := &storage.Change{}
	change.Guard(storage.DeleteDehydrated(c.UserNID)...)
	listChanged(change, c.UserNID)
	return d.ID, s.db.Commit(ctx, change)
}

// DehydratedEvents reads the messages that the caller's dehydrated device received, from a token on. They stay, so that
// another device may begin anew when this one does not come to the end. MSC3814.
func (s *Service) DehydratedEvents(ctx context.Context, c matrix.Caller, id matrix.DeviceID, from string) (DeviceEvents, error) {
	out := DeviceEvents{Events: []DeviceEvent{}}
	d, err := s.db.FindDehydrated(ctx, c.UserNID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && d.ID != id {
		return out, matrix.Forbidden("This is not the id of your dehydrated device.")
	}
	if err != nil {
		return out, err
	}
	after := int64(0)
	if from != "" {
		if after, err = strconv.ParseInt(from, 10, 64); err != nil || after < 0 {
			return out, matrix.InvalidParam("This is not a token of an earlier answer.")
		}
	}
	list, err := s.db.ListToDevice(ctx, d.Device, after, s.db.Position(), eventsBatch)
	if err != nil {
		return out, err
	}
	for _, m := range list {
		out.Events = append(out.Events, DeviceEvent{m.Type, m.Sender, m.Content})
		out.Next = strconv.FormatInt(m.Pos, 10)
	}
	return out, nil
}

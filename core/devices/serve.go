package devices

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// ServeKeys reads the keys of users of ours for another server; users that are not ours are left out. What devices are
// called is told if so configured. Spec: server-server-api/#post_matrixfederationv1userkeysquery
func (s *Service) ServeKeys(ctx context.Context, asked map[matrix.UserID][]matrix.DeviceID) (*Keys, error) {
	q := &query{db: s.db, nameless: !s.tellNames, asked: asked, users: map[int64]matrix.UserID{}, Keys: newKeys(len(asked))}
	for user := range asked {
		if !s.local(user.Server()) {
			continue
		}
		if err := q.want(ctx, user, true); err != nil {
			return nil, err
		}
	}
	return q.Keys, q.read(ctx, s)
}

// ServedList is a user's device list as other servers keep it.
type ServedList struct {
	UserID      matrix.UserID   `json:"user_id"`
	StreamID    int64           `json:"stream_id"`
	Devices     []ServedDevice  `json:"devices"`
	Master      json.RawMessage `json:"master_key,omitempty"`
	SelfSigning json.RawMessage `json:"self_signing_key,omitempty"`
}

// ServedDevice is one device of a list.
type ServedDevice struct {
	ID   matrix.DeviceID `json:"device_id"`
	Keys json.RawMessage `json:"keys"`
	Name string          `json:"device_display_name,omitempty"`
}

// ServeDevices is the device list of a user of ours, for another server; M_NOT_FOUND when there is no such user.
// Its stream id is that of the last change that was announced. Spec: server-server-api/#get_matrixfederationv1userdevicesuserid
func (s *Service) ServeDevices(ctx context.Context, user matrix.UserID) (*ServedList, error) {
	nid, err := s.db.FindUserNID(ctx, user)
	if !s.local(user.Server()) || errors.Is(err, storage.ErrNotFound) {
		return nil, matrix.NotFound("There is no such user here.")
	}
	if err != nil {
		return nil, err
	}
	// Why the number first: what changes while the keys are read is told again under a later one.
	stream, err := s.db.AnnouncedStream(ctx, nid)
	if err == nil && stream == 0 { // nothing was: what is announced first has everybody fetch the list
		stream, err = s.db.DeviceListPos(ctx, nid)
	}
	if err != nil {
		return nil, err
	}
	keys, err := s.ServeKeys(ctx, map[matrix.UserID][]matrix.DeviceID{user: nil})
	if err != nil {
		return nil, err
	}
	list := &ServedList{UserID: user, StreamID: stream, Devices: []ServedDevice{}, Master: keys.Master[user], SelfSigning: keys.SelfSigning[user]}
	for id, body := range keys.DeviceKeys[user] {
		list.Devices = append(list.Devices, ServedDevice{id, body, ""})
	}
	if !s.tellNames {
		return list, nil
	}
	names, err := s.namesOf(ctx, nid)
	for i := range list.Devices {
		d := &list.Devices[i]
		d.Name = names[d.ID]
	}
	return list, err
}

// namesOf are the devices of a user of ours, those without keys too, each with the name that other servers are told.
func (s *Service) namesOf(ctx context.Context, user int64) (map[matrix.DeviceID]string, error) {
	list, err := s.db.ListDevices(ctx, user)
	out := make(map[matrix.DeviceID]string, len(list))
	for _, d := range list {
		if out[d.ID] = ""; s.tellNames {
			out[d.ID] = d.DisplayName
		}
	}
	return out, err
}

// named is a key of a device elsewhere as it is kept: with what the device is called, as clients are shown it.
func named(body []byte, name string) []byte {
	if name == "" || len(name) > maxRemoteName || len(body) < 3 {
		return body
	}
	out := append(make([]byte, 0, len(body)+len(name)+64), body[:len(body)-1]...)
	return append(matrix.AppendJSONString(append(out, `,"unsigned":{"device_display_name":`...), name), `}}`...)
}

// maxRemoteName bounds what is kept of how devices elsewhere are called, in bytes.
const maxRemoteName = 255

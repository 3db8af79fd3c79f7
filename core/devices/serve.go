package devices

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// ServeKeys reads the keys of users of ours for another server; users that are not ours are left out. What devices are
// called is not told. Spec: server-server-api/#post_matrixfederationv1userkeysquery
func (s *Service) ServeKeys(ctx context.Context, asked map[matrix.UserID][]matrix.DeviceID) (*Keys, error) {
	q := &query{nameless: true, asked: asked, users: map[int64]matrix.UserID{}, sigs: map[signed][]storage.KeySignature{}, Keys: &Keys{
		DeviceKeys: map[matrix.UserID]map[matrix.DeviceID]json.RawMessage{}, Failures: map[matrix.ServerName]Failure{},
		Master: map[matrix.UserID]json.RawMessage{}, SelfSigning: map[matrix.UserID]json.RawMessage{},
		UserSigning: map[matrix.UserID]json.RawMessage{},
	}}
	for user := range asked {
		if !s.local(user.Server()) {
			continue
		}
		q.DeviceKeys[user] = map[matrix.DeviceID]json.RawMessage{}
		nid, err := s.db.FindUserNID(ctx, user)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		q.users[nid] = user
		q.nids = append(q.nids, nid)
	}
	return q.Keys, q.read(ctx, s.db)
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
}

// ServeDevices is the device list of a user of ours, for another server; M_NOT_FOUND when there is no such user.
// Its stream id is where the list last changed. Spec: server-server-api/#get_matrixfederationv1userdevicesuserid
func (s *Service) ServeDevices(ctx context.Context, user matrix.UserID) (*ServedList, error) {
	nid, err := s.db.FindUserNID(ctx, user)
	if !s.local(user.Server()) || errors.Is(err, storage.ErrNotFound) {
		return nil, matrix.NotFound("There is no such user here.")
	}
	if err != nil {
		return nil, err
	}
	// Why the position first: what changes while the keys are read is told again under a later one.
	pos, err := s.db.DeviceListPos(ctx, nid)
	if err != nil {
		return nil, err
	}
	keys, err := s.ServeKeys(ctx, map[matrix.UserID][]matrix.DeviceID{user: nil})
	if err != nil {
		return nil, err
	}
	list := &ServedList{UserID: user, StreamID: pos, Devices: []ServedDevice{}, Master: keys.Master[user], SelfSigning: keys.SelfSigning[user]}
	for id, body := range keys.DeviceKeys[user] {
		list.Devices = append(list.Devices, ServedDevice{id, body})
	}
	return list, nil
}

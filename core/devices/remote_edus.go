package devices

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

type directMessage struct {
	Sender    matrix.UserID `json:"sender"`
	Type      string        `json:"type"`
	MessageID string        `json:"message_id"`
	Messages  Messages      `json:"messages"`
}

// addressOutside puts the messages for users of other servers into the outbox, one row for each server.
// Spec: server-server-api/#send-to-device-messaging
func (s *Service) addressOutside(change *storage.Change, sender matrix.UserID, typ string, messages Messages) error {
	if s.peers == nil {
		return nil
	}
	remote := byServer[map[matrix.DeviceID]json.RawMessage]{}
	for user, byDevice := range messages {
		if !s.local(user.Server()) {
			remote.add(user.Server(), user, byDevice)
		}
	}
	if len(remote) == 0 {
		return nil
	}
	live := change.Live(storage.Live{Kind: storage.KindOutbox}) + 1
	part := int64(0)
	for server, byUser := range remote {
		part++
		body, err := json.Marshal(directMessage{sender, typ, rand.Text(), Messages(byUser)})
		if err != nil {
			return err
		}
		change.Post(&storage.OutboxRow{At: storage.At{Live: live}, Part: part, Origin: sender.Server(), Extra: server, EDU: eduToDevice, Body: body})
	}
	return nil
}

// ReceiveToDevice takes messages of another server for devices of one of ours; a message that comes again is not delivered again.
func (s *Service) ReceiveToDevice(ctx context.Context, origin, ours matrix.ServerName, content json.RawMessage) error {
	var m directMessage
	if matrix.Decode(content, &m) != nil || m.Sender.Server() != origin || len(m.Type) > maxType || len(m.MessageID) > maxTxn {
		return nil
	}
	if _, err := matrix.ParseUserID(string(m.Sender)); err != nil {
		return nil //nolint:nilerr // Why: a name is kept for ever, and so has bounds
	}
	maps.DeleteFunc(m.Messages, func(to matrix.UserID, _ map[matrix.DeviceID]json.RawMessage) bool { return to.Server() != ours })
	sender, err := s.db.UserNID(ctx, m.Sender)
	if err != nil {
		return err
	}
	change := &storage.Change{}
	change.Guard(storage.InsertTransaction(storage.TransactionRow{
		Device: -sender, Endpoint: matrix.Hash64(eduToDevice), TxnID: m.MessageID, TS: s.now().UnixMilli(),
	}).OrElse(errRepeated))
	err = s.address(ctx, change, m.Sender, m.Type, m.Messages)
	var refused *matrix.Error
	if errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(change.Rows) == 0 {
		return nil
	}
	if err = s.db.Commit(ctx, change); errors.Is(err, errRepeated) {
		return nil
	}
	return err
}

// ReceiveDeviceUpdate takes a change of a device of a user of another server. One that follows the last known change of a
// list that is kept is entered; after any other, and after what cannot be read, the list is fetched again.
// Spec: server-server-api/#device-management
func (s *Service) ReceiveDeviceUpdate(ctx context.Context, origin matrix.ServerName, content json.RawMessage) error {
	var u deviceUpdate
	spoilt := matrix.Decode(content, &u) != nil || u.Device == "" || len(u.Device) > maxKeyName
	if u.User.Server() != origin {
		return nil
	}
	if spoilt {
		return s.receiveChange(ctx, u.User, func(*storage.Change, int64) bool { return false })
	}
	if known, err := s.knownAlready(ctx, &u); err != nil || known {
		return err
	}
	return s.receiveChange(ctx, u.User, func(change *storage.Change, nid int64) bool {
		stream, err := s.db.FindRemoteDevices(ctx, nid)
		body, ok := remoteKey(u.Keys, u.User, u.Device)
		if err != nil || !slices.Contains(u.Prev, stream) || !u.Deleted && u.Keys != nil && !ok {
			return false
		}
		change.Guard(storage.MoveRemoteDevices(nid, stream, u.Stream))
		if u.Deleted || u.Keys == nil {
			change.Guard(storage.DropRemoteKey(nid, u.Device))
		} else {
			change.Add(&storage.DeviceKeysRow{User: nid, Device: u.Device, Body: named(body, u.Name)})
		}
		return true
	})
}

// knownAlready reports whether a change says nothing new, such as that a device without keys is there: clients need not hear of that.
// What else may have been missed is fetched quietly.
func (s *Service) knownAlready(ctx context.Context, u *deviceUpdate) (bool, error) {
	nid, err := s.db.FindUserNID(ctx, u.User)
	if err != nil {
		return false, ignoreMissing(err)
	}
	kept, err := s.db.FindDeviceKeys(ctx, nid, u.Device)
	if ignoreMissing(err) != nil {
		return false, err
	}
	if u.Keys != nil && !u.Deleted {
		body, bad := identityBody(u.Keys)
		if bad != nil || string(named(body, u.Name)) != string(kept) {
			return false, nil
		}
	} else if kept != nil || u.Deleted { // Why those that went: a list fetched a moment ago may be without it before anybody was told
		return false, nil
	}
	stream, err := s.db.FindRemoteDevices(ctx, nid)
	if err != nil {
		return true, ignoreMissing(err)
	}
	if !slices.Contains(u.Prev, stream) {
		return s.resync(nid, u.User, becauseMissed), nil // Why not while a list is fetched: it may be older than this
	}
	if kept != nil {
		return false, nil // Why: a list fetched a moment ago may hold it before anybody was told
	}
	change := &storage.Change{}
	change.Guard(storage.MoveRemoteDevices(nid, stream, u.Stream))
	if err := s.db.Commit(ctx, change); !errors.Is(err, storage.ErrGuard) {
		return true, err
	}
	return true, nil
}

// ReceiveSigningUpdate takes new cross-signing keys of a user of another server.
func (s *Service) ReceiveSigningUpdate(ctx context.Context, origin matrix.ServerName, content json.RawMessage) error {
	var u signingUpdate
	if matrix.Decode(content, &u) != nil || u.User.Server() != origin {
		return nil
	}
	return s.receiveChange(ctx, u.User, func(change *storage.Change, nid int64) bool {
		if _, err := s.db.FindRemoteDevices(ctx, nid); err != nil {
			return false
		}
		addRemoteCross(change, nid, u.User, u.Master, u.SelfSigning)
		return len(change.Rows) > 0
	})
}

// receiveChange tells those who share a room with a user of another server that his keys changed. enter takes the change
// over; where it cannot, the list that is kept no longer holds.
func (s *Service) receiveChange(ctx context.Context, user matrix.UserID, enter func(change *storage.Change, nid int64) bool) error {
	nid, err := s.db.FindUserNID(ctx, user)
	if err != nil {
		return ignoreMissing(err)
	}
	if shared, err := s.db.SharesRoomWithUs(ctx, nid); err != nil || !shared {
		return err
	}
	change := &storage.Change{}
	if enter(change, nid) {
		listChanged(change, nid)
		if err := s.db.Commit(ctx, change); !errors.Is(err, storage.ErrGuard) {
			return err // Why not then: another list has been kept meanwhile, which may be older than this change
		}
	}
	change = &storage.Change{}
	change.Guard(storage.DropRemoteList(nid))
	listChanged(change, nid)
	if err := s.db.Commit(ctx, change); err != nil {
		return err
	}
	s.resync(nid, user, becauseChanged)
	return nil
}

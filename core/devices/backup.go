package devices

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxBackedUp bounds one backed-up key in bytes.
const maxBackedUp = 64 << 10

// BackupVersion is a version of a key backup. Spec: client-server-api/#server-side-key-backups
type BackupVersion struct {
	Algorithm string          `json:"algorithm"`
	AuthData  json.RawMessage `json:"auth_data"`
	Version   string          `json:"version,omitempty"`
}

// BackupInfo is a version with what it holds.
type BackupInfo struct {
	BackupVersion
	Count int64  `json:"count"`
	ETag  string `json:"etag"`
}

// BackupState is what a change of a backup answers.
type BackupState struct {
	Count int64  `json:"count"`
	ETag  string `json:"etag"`
}

// BackupRoom holds the backed-up keys of a room by session.
type BackupRoom struct {
	Sessions map[string]json.RawMessage `json:"sessions"`
}

// BackupKeys holds backed-up keys by room.
type BackupKeys struct {
	Rooms map[matrix.RoomID]BackupRoom `json:"rooms"`
}

// CreateBackup begins a new version. Spec: client-server-api/#post_matrixclientv3room_keysversion
func (s *Service) CreateBackup(ctx context.Context, c matrix.Caller, b BackupVersion) (string, error) {
	if b.Algorithm == "" || len(b.AuthData) == 0 || b.AuthData[0] != '{' {
		return "", matrix.BadJSON("A backup needs an \"algorithm\" and an object \"auth_data\".")
	}
	// Why here too: a deletion that was interrupted left keys behind.
	if err := s.db.PruneKeyBackups(ctx, c.UserNID); err != nil {
		return "", err
	}
	var version int64
	change := &storage.Change{}
	change.Guard(storage.InsertKeyBackup(c.UserNID, b.Algorithm, b.AuthData, &version))
	if err := s.db.Commit(ctx, change); err != nil {
		return "", err
	}
	return strconv.FormatInt(version, 10), nil
}

// GetBackup reads a version; "" is the newest one. Spec: client-server-api/#get_matrixclientv3room_keysversion
func (s *Service) GetBackup(ctx context.Context, c matrix.Caller, version string) (*BackupInfo, error) {
	b, err := s.findBackup(ctx, c, version)
	if err != nil {
		return nil, err
	}
	return &BackupInfo{
		BackupVersion: BackupVersion{Algorithm: b.Algorithm, AuthData: b.AuthData, Version: strconv.FormatInt(b.Version, 10)},
		Count:         b.Count, ETag: strconv.FormatInt(b.ETag, 10),
	}, nil
}

func (s *Service) findBackup(ctx context.Context, c matrix.Caller, version string) (storage.KeyBackup, error) {
	n := int64(0)
	if version != "" {
		var err error
		if n, err = strconv.ParseInt(version, 10, 64); err != nil || n < 1 {
			return storage.KeyBackup{}, noBackup()
		}
	}
	b, err := s.db.FindKeyBackup(ctx, c.UserNID, n)
	if errors.Is(err, storage.ErrNotFound) {
		err = noBackup()
	}
	return b, err
}

func noBackup() error { return matrix.NotFound("There is no such key backup.") }

// UpdateBackup replaces the auth data of a version; its algorithm stays.
// Spec: client-server-api/#put_matrixclientv3room_keysversionversion
func (s *Service) UpdateBackup(ctx context.Context, c matrix.Caller, version string, b BackupVersion) error {
	if b.Version != "" && b.Version != version {
		return matrix.InvalidParam("The version in the body is another one than in the path.")
	}
	now, err := s.findBackup(ctx, c, version)
	if err != nil {
		return err
	}
	if b.Algorithm != now.Algorithm {
		return matrix.InvalidParam("The algorithm of a backup cannot change: make a new version.")
	}
	if len(b.AuthData) == 0 || b.AuthData[0] != '{' {
		return matrix.BadJSON("A backup needs an object \"auth_data\".")
	}
	change := &storage.Change{}
	change.Guard(storage.UpdateKeyBackup(c.UserNID, now.Version, now.Algorithm, b.AuthData).OrElse(noBackup()))
	return s.db.Commit(ctx, change)
}

// DeleteBackup removes a version with its keys. Spec: client-server-api/#delete_matrixclientv3room_keysversionversion
func (s *Service) DeleteBackup(ctx context.Context, c matrix.Caller, version string) error {
	b, err := s.findBackup(ctx, c, version)
	if err != nil {
		return err
	}
	change := &storage.Change{}
	change.Guard(storage.DeleteKeyBackup(c.UserNID, b.Version))
	if err = s.db.Commit(ctx, change); errors.Is(err, storage.ErrGuard) {
		return noBackup()
	}
	if err != nil {
		return err
	}
	if err := s.db.PruneKeyBackups(ctx, c.UserNID); err != nil { // Why no refusal: the version is gone, and its keys go with the next one
		s.log.Warn("delete the keys of a removed backup", "user", string(c.User), "error", err)
	}
	return nil
}

// PutBackupKeys adds keys to the newest version; of two for one session the better one stays.
// Spec: client-server-api/#put_matrixclientv3room_keyskeys
func (s *Service) PutBackupKeys(ctx context.Context, c matrix.Caller, version string, keys BackupKeys) (*BackupState, error) {
	b, err := s.newestBackup(ctx, c, version)
	if err != nil {
		return nil, err
	}
	change := &storage.Change{}
	var etag int64
	change.Guard(storage.TouchKeyBackup(c.UserNID, b.Version, &etag).OrElse(matrix.WrongRoomKeysVersion(version)))
	for room, r := range keys.Rooms {
		for session, body := range r.Sessions {
			key, err := backedUpKey(room, session, body)
			if err != nil {
				return nil, err
			}
			change.Add(&storage.BackedUpKeyRow{User: c.UserNID, Version: b.Version, BackedUpKey: key})
		}
	}
	return s.changeBackup(ctx, c, b, change)
}

// newestBackup finds a version that must be the newest one.
func (s *Service) newestBackup(ctx context.Context, c matrix.Caller, version string) (storage.KeyBackup, error) {
	if version == "" {
		return storage.KeyBackup{}, matrix.MissingParam("Say which backup by \"version\".")
	}
	b, err := s.findBackup(ctx, c, "")
	if err != nil {
		return b, err
	}
	if newest := strconv.FormatInt(b.Version, 10); newest != version {
		return b, matrix.WrongRoomKeysVersion(newest)
	}
	return b, nil
}

func (s *Service) changeBackup(ctx context.Context, c matrix.Caller, b storage.KeyBackup, change *storage.Change) (*BackupState, error) {
	if err := s.db.Commit(ctx, change); err != nil {
		return nil, err
	}
	now, err := s.db.FindKeyBackup(ctx, c.UserNID, b.Version)
	if err != nil {
		return nil, err
	}
	return &BackupState{now.Count, strconv.FormatInt(now.ETag, 10)}, nil
}

func backedUpKey(room matrix.RoomID, session string, body json.RawMessage) (storage.BackedUpKey, error) {
	var k struct {
		FirstIndex *int64          `json:"first_message_index"`
		Forwarded  *int64          `json:"forwarded_count"`
		Verified   *bool           `json:"is_verified"`
		Data       json.RawMessage `json:"session_data"`
	}
	if err := matrix.Decode(body, &k); err != nil || k.FirstIndex == nil || k.Forwarded == nil || k.Verified == nil || len(k.Data) == 0 {
		return storage.BackedUpKey{}, matrix.BadJSON("A backed-up key needs first_message_index, forwarded_count, is_verified and session_data.")
	}
	if len(body) > maxBackedUp || len(room) > matrix.MaxIDLength || len(session) > matrix.MaxIDLength {
		return storage.BackedUpKey{}, matrix.NewError(http.StatusRequestEntityTooLarge, matrix.CodeTooLarge, "A backed-up key may have at most 64 KiB.")
	}
	return storage.BackedUpKey{Room: room, Session: session, Verified: *k.Verified, FirstIndex: *k.FirstIndex, Forwarded: *k.Forwarded, Body: body}, nil
}

// GetBackupKeys reads keys of a version: of one session, of one room (session ""), or all (room "").
func (s *Service) GetBackupKeys(ctx context.Context, c matrix.Caller, version string, room matrix.RoomID, session string) (BackupKeys, error) {
	if version == "" {
		return BackupKeys{}, matrix.MissingParam("Say which backup by \"version\".")
	}
	out := BackupKeys{Rooms: map[matrix.RoomID]BackupRoom{}}
	b, err := s.findBackup(ctx, c, version)
	if err != nil {
		return out, err
	}
	list, err := s.db.ListBackedUpKeys(ctx, c.UserNID, b.Version, room, session)
	for _, k := range list {
		if out.Rooms[k.Room].Sessions == nil {
			out.Rooms[k.Room] = BackupRoom{Sessions: map[string]json.RawMessage{}}
		}
		out.Rooms[k.Room].Sessions[k.Session] = k.Body
	}
	return out, err
}

// DeleteBackupKeys removes keys from a version: of one session, of one room (session ""), or all (room "").
func (s *Service) DeleteBackupKeys(ctx context.Context, c matrix.Caller, version string, room matrix.RoomID, session string) (*BackupState, error) {
	b, err := s.newestBackup(ctx, c, version)
	if err != nil {
		return nil, err
	}
	change := &storage.Change{}
	var etag int64
	change.Guard(storage.TouchKeyBackup(c.UserNID, b.Version, &etag).OrElse(matrix.WrongRoomKeysVersion(version)))
	change.Guard(storage.DeleteBackedUpKeys(c.UserNID, b.Version, room, session))
	return s.changeBackup(ctx, c, b, change)
}

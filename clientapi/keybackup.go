package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/devices"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// backupBody bounds a request with keys for a backup.
const backupBody = 8 << 20

// keyBackupRoutes adds the backup of room keys. Spec: client-server-api/#server-side-key-backups
func keyBackupRoutes(r *httpx.Router, s *devices.Service) {
	const version = "/_matrix/client/v3/room_keys/version"
	httpx.Handle(r, "POST", version, ofUser("postRoomKeysVersion"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, in devices.BackupVersion) (map[string]string, error) {
			v, err := s.CreateBackup(ctx, c, in)
			return map[string]string{"version": v}, err
		})
	httpx.Handle(r, "GET", version, ofUser("getRoomKeysVersionCurrent"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (*devices.BackupInfo, error) {
			return s.GetBackup(ctx, c, "")
		})
	httpx.Handle(r, "GET", version+"/{version}", ofUser("getRoomKeysVersion"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*devices.BackupInfo, error) {
			return s.GetBackup(ctx, c, p.Var("version"))
		})
	httpx.Handle(r, "PUT", version+"/{version}", ofUser("putRoomKeysVersion"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in devices.BackupVersion) (httpx.Empty, error) {
			return httpx.Empty{}, s.UpdateBackup(ctx, c, p.Var("version"), in)
		})
	httpx.Handle(r, "DELETE", version+"/{version}", ofUser("deleteRoomKeysVersion"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, s.DeleteBackup(ctx, c, p.Var("version"))
		})
	backedUpKeys(r, s)
	backedUpDeletions(r, s)
}

// backedUpKeys adds writing and reading keys, of all rooms, of one, and of one session.
func backedUpKeys(r *httpx.Router, s *devices.Service) {
	const all, ofRoom = "/_matrix/client/v3/room_keys/keys", "/_matrix/client/v3/room_keys/keys/{roomID}"
	const ofSession = ofRoom + "/{sessionID}"
	put := httpx.Route{Access: httpx.User, R0: true, MaxBody: backupBody}
	httpx.Handle(r, "PUT", all, named(put, "putRoomKeys"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in devices.BackupKeys) (*devices.BackupState, error) {
			return s.PutBackupKeys(ctx, c, p.Query().Get("version"), in)
		})
	httpx.Handle(r, "PUT", ofRoom, named(put, "putRoomKeysByRoomId"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in devices.BackupRoom) (*devices.BackupState, error) {
			return s.PutBackupKeys(ctx, c, p.Query().Get("version"),
				devices.BackupKeys{Rooms: map[matrix.RoomID]devices.BackupRoom{matrix.RoomID(p.Var("roomID")): in}})
		})
	httpx.Handle(r, "PUT", ofSession, named(put, "putRoomKeyBySessionId"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in json.RawMessage) (*devices.BackupState, error) {
			one := devices.BackupRoom{Sessions: map[string]json.RawMessage{p.Var("sessionID"): in}}
			return s.PutBackupKeys(ctx, c, p.Query().Get("version"),
				devices.BackupKeys{Rooms: map[matrix.RoomID]devices.BackupRoom{matrix.RoomID(p.Var("roomID")): one}})
		})
	httpx.Handle(r, "GET", all, ofUser("getRoomKeys"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (devices.BackupKeys, error) {
			return s.GetBackupKeys(ctx, c, p.Query().Get("version"), "", "")
		})
	httpx.Handle(r, "GET", ofRoom, ofUser("getRoomKeysByRoomId"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (devices.BackupRoom, error) {
			room := matrix.RoomID(p.Var("roomID"))
			keys, err := s.GetBackupKeys(ctx, c, p.Query().Get("version"), room, "")
			if keys.Rooms[room].Sessions == nil {
				return devices.BackupRoom{Sessions: map[string]json.RawMessage{}}, err
			}
			return keys.Rooms[room], err
		})
	httpx.Handle(r, "GET", ofSession, ofUser("getRoomKeyBySessionId"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
			room, session := matrix.RoomID(p.Var("roomID")), p.Var("sessionID")
			keys, err := s.GetBackupKeys(ctx, c, p.Query().Get("version"), room, session)
			if err != nil {
				return nil, err
			}
			key, ok := keys.Rooms[room].Sessions[session]
			if !ok {
				return nil, matrix.NotFound("The backup has no key of this session.")
			}
			return key, nil
		})
}

// backedUpDeletions adds removing keys.
func backedUpDeletions(r *httpx.Router, s *devices.Service) {
	const all = "/_matrix/client/v3/room_keys/keys"
	for path, spec := range map[string]string{
		all: "deleteRoomKeys", all + "/{roomID}": "deleteRoomKeysByRoomId", all + "/{roomID}/{sessionID}": "deleteRoomKeyBySessionId",
	} {
		httpx.Handle(r, "DELETE", path, ofUser(spec),
			func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*devices.BackupState, error) {
				return s.DeleteBackupKeys(ctx, c, p.Query().Get("version"), matrix.RoomID(p.Var("roomID")), p.Var("sessionID"))
			})
	}
}

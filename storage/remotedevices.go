package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// AnnouncedRow notes what other servers were told of a device of a user; Device "" stands for his cross-signing keys.
type AnnouncedRow struct {
	User   int64
	Device matrix.DeviceID
	Hash   int64
}

var announcedTable = newTable("announced_devices", "usr:i device_id:t hash:i", 2, "update")

func (*AnnouncedRow) table() *table { return announcedTable }
func (r *AnnouncedRow) args(dst []any) []any {
	return append(dst, r.User, string(r.Device), r.Hash)
}

// DeleteAnnounced forgets a device that other servers are told to be gone.
func DeleteAnnounced(user int64, device matrix.DeviceID) Guard {
	return Guard{sql: `DELETE FROM announced_devices WHERE usr = $1 AND device_id = $2`, args: []any{user, string(device)}, want: anyRows}
}

// ListAnnounced reads what other servers were told of a user's devices.
func (db *DB) ListAnnounced(ctx context.Context, user int64) (map[matrix.DeviceID]int64, error) {
	out := map[matrix.DeviceID]int64{}
	err := db.each(ctx, `SELECT device_id, hash FROM announced_devices WHERE usr = $1`, []any{user}, func(r *sql.Rows) error {
		var id matrix.DeviceID
		var hash int64
		err := r.Scan(&id, &hash)
		out[id] = hash
		return err
	})
	return out, err
}

// AnnouncedStreamRow sets the number of the last change of a user's devices that other servers are told.
type AnnouncedStreamRow struct{ User, Stream int64 }

var announcedStreamsTable = newTable("announced_streams", "usr:i stream:i", 1, "update")

func (*AnnouncedStreamRow) table() *table          { return announcedStreamsTable }
func (r *AnnouncedStreamRow) args(dst []any) []any { return append(dst, r.User, r.Stream) }

// AnnouncedStream is the number of the last change of a user's devices that other servers are told; 0 when there is none.
func (db *DB) AnnouncedStream(ctx context.Context, user int64) (stream int64, err error) {
	err = db.row(ctx, `SELECT COALESCE(MAX(stream), 0) FROM announced_streams WHERE usr = $1`, []any{user}, &stream)
	return stream, err
}

// AnnouncedUpto is how far changes of device lists were looked at.
func (db *DB) AnnouncedUpto(ctx context.Context) (pos int64, err error) {
	err = db.row(ctx, `SELECT pos FROM announced WHERE id = 1`, nil, &pos)
	return pos, err
}

// MoveAnnounced moves that from one position to another; it fails when somebody else has moved it.
func MoveAnnounced(from, to int64) Guard {
	return Guard{sql: `UPDATE announced SET pos = $2 WHERE id = 1 AND pos = $1`, args: []any{from, to}, want: 1}
}

// ListChangedLists lists accounts of this installation whose device list changed behind a position and up to another, in that order.
func (db *DB) ListChangedLists(ctx context.Context, after, upto int64, limit int) ([]DeviceListRow, error) {
	var out []DeviceListRow
	err := db.each(ctx, `SELECT l.usr, l.pos FROM device_lists l JOIN users u ON u.nid = l.usr WHERE l.pos > $1 AND l.pos <= $2 ORDER BY l.pos LIMIT $3`,
		[]any{after, upto, int64(limit)}, func(r *sql.Rows) error {
			var d DeviceListRow
			err := r.Scan(&d.User, &d.Pos)
			out = append(out, d)
			return err
		})
	return out, err
}

// RemoteDevicesRow notes that the device list of a user of another server is kept here. Its position says
// where in the stream it was asked for.
type RemoteDevicesRow struct {
	At
	User, Stream int64
}

var remoteDevicesTable = newTable("remote_devices", "usr:i stream:i pos:i", 1, "update")

func (*RemoteDevicesRow) table() *table          { return remoteDevicesTable }
func (r *RemoteDevicesRow) args(dst []any) []any { return append(dst, r.User, r.Stream, r.Pos) }

// MoveRemoteDevices notes a change that follows the last one known; it fails when there is none or another.
func MoveRemoteDevices(user, from, to int64) Guard {
	return Guard{sql: `UPDATE remote_devices SET stream = $3 WHERE usr = $1 AND stream = $2`, args: []any{user, from, to}, want: 1}
}

// FindRemoteDevices is the last known change of a list that is kept here; ErrNotFound when it is not kept.
func (db *DB) FindRemoteDevices(ctx context.Context, user int64) (stream int64, err error) {
	err = db.row(ctx, `SELECT stream FROM remote_devices WHERE usr = $1`, []any{user}, &stream)
	return stream, err
}

// RemoteList is what is known of the device list of a user of another server: the last change of the one that is kept, and where in the
// stream people were told last that it changed.
type RemoteList struct{ user, stream, told int64 }

// notKept stands for the last change of a list that is not kept.
const notKept = -1 << 63

// FindRemoteList reads that.
func (db *DB) FindRemoteList(ctx context.Context, user int64) (RemoteList, error) {
	l := RemoteList{user: user}
	err := db.row(ctx, `SELECT COALESCE((SELECT stream FROM remote_devices WHERE usr = $1), $2),
		COALESCE((SELECT pos FROM device_lists WHERE usr = $1), 0)`, []any{user, int64(notKept)}, &l.stream, &l.told)
	return l, err
}

// Kept reports whether a list is kept.
func (l RemoteList) Kept() bool { return l.stream != notKept }

// Still fails when the list was changed, dropped, or said to have changed since.
func (l RemoteList) Still() Guard {
	return Guard{sql: `SELECT 1 WHERE COALESCE((SELECT stream FROM remote_devices WHERE usr = $1), $2) = $3
		AND COALESCE((SELECT pos FROM device_lists WHERE usr = $1), 0) = $4`, args: []any{l.user, int64(notKept), l.stream, l.told}, want: 1}
}

// IsRemoteListFresh reports whether the list of a user of another server that is kept here must be the present one: since it
// was fetched he has shared a room with us, so that his server tells us what changes.
func (db *DB) IsRemoteListFresh(ctx context.Context, user int64) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM remote_devices d JOIN memberships b ON b.usr = d.usr
		JOIN memberships a ON a.room = b.room JOIN users u ON u.nid = a.usr
		WHERE d.usr = $1 AND a.membership = 1 AND b.membership = 1 AND a.pos <= d.pos AND b.pos <= d.pos LIMIT 1) AS one`,
		[]any{user}, &n)
	return n > 0, err
}

// SharesRoomWithUs reports whether a user is in a room with an account of this installation.
func (db *DB) SharesRoomWithUs(ctx context.Context, user int64) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM memberships b JOIN memberships a ON a.room = b.room
		JOIN users u ON u.nid = a.usr WHERE b.usr = $1 AND a.membership = 1 AND b.membership = 1 LIMIT 1) AS one`, []any{user}, &n)
	return n > 0, err
}

// DropRemoteList forgets that a list is kept here; its keys stay, as the last that is known.
func DropRemoteList(user int64) Guard {
	return Guard{sql: `DELETE FROM remote_devices WHERE usr = $1`, args: []any{user}, want: anyRows}
}

// DropRemoteKeys forgets all keys of a user of another server, to make room for a whole list.
func DropRemoteKeys(user int64) []Guard {
	return []Guard{
		{sql: `DELETE FROM device_keys WHERE usr = $1`, args: []any{user}, want: anyRows},
		{sql: `DELETE FROM cross_signing_keys WHERE usr = $1`, args: []any{user}, want: anyRows},
	}
}

// DropRemoteKey forgets one device of a user of another server.
func DropRemoteKey(user int64, device matrix.DeviceID) Guard {
	return Guard{sql: `DELETE FROM device_keys WHERE usr = $1 AND device_id = $2`, args: []any{user, string(device)}, want: anyRows}
}

// FindLocalNeighbour is an account of this installation that shares a room with a user; ErrNotFound when there is none.
func (db *DB) FindLocalNeighbour(ctx context.Context, user int64) (id matrix.UserID, err error) {
	err = db.row(ctx, `SELECT i.user_id FROM memberships b JOIN memberships a ON a.room = b.room
		JOIN users u ON u.nid = a.usr JOIN user_ids i ON i.nid = a.usr
		WHERE b.usr = $1 AND a.membership = 1 AND b.membership = 1 LIMIT 1`, []any{user}, &id)
	return id, err
}

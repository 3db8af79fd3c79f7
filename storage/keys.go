package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// DeviceKeysRow sets the identity keys of a device, as uploaded.
type DeviceKeysRow struct {
	User   int64
	Device matrix.DeviceID
	Body   []byte
}

var deviceKeysTable = newTable("device_keys", "usr:i device_id:t body:b", 2, "update")

func (*DeviceKeysRow) table() *table { return deviceKeysTable }
func (r *DeviceKeysRow) args(dst []any) []any {
	return append(dst, r.User, string(r.Device), r.Body)
}

// DeviceListRow notes where a user's device list last changed. Its Live entry is one of KindDeviceList.
type DeviceListRow struct {
	At
	User int64
}

var deviceListsTable = newTable("device_lists", "usr:i pos:i", 1, "update")

func (*DeviceListRow) table() *table          { return deviceListsTable }
func (r *DeviceListRow) args(dst []any) []any { return append(dst, r.User, r.Pos) }

// DeviceKeys are the identity keys of a device. NID is 0 for one of another server.
type DeviceKeys struct {
	User, NID   int64
	Device      matrix.DeviceID
	DisplayName string
	Body        []byte
}

// ListDeviceKeys lists the identity keys of all devices of some users.
func (db *DB) ListDeviceKeys(ctx context.Context, users []int64) ([]DeviceKeys, error) {
	var out []DeviceKeys
	err := db.eachIn(ctx, `SELECT k.usr, COALESCE(d.nid, 0), k.device_id, COALESCE(d.display_name, ''), k.body FROM device_keys k
		LEFT JOIN devices d ON d.usr = k.usr AND d.device_id = k.device_id WHERE k.usr IN`, users, ``,
		func(r *sql.Rows) error {
			var k DeviceKeys
			err := r.Scan(&k.User, &k.NID, &k.Device, &k.DisplayName, &k.Body)
			out = append(out, k)
			return err
		})
	return out, err
}

// FindDeviceKeys reads the identity keys of one device; ErrNotFound when it has none.
func (db *DB) FindDeviceKeys(ctx context.Context, user int64, device matrix.DeviceID) (body []byte, err error) {
	err = db.row(ctx, `SELECT body FROM device_keys WHERE usr = $1 AND device_id = $2`, []any{user, string(device)}, &body)
	return body, err
}

// ListDeviceListChanges lists the users, of those who share a room with a user and himself, whose device list changed in
// (after, upto].
// Why CROSS JOIN: SQLite would go through all rooms of the one user for each of the others; so it goes through those of the other, whom it
// need not look for again.
func (db *DB) ListDeviceListChanges(ctx context.Context, user, after, upto int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT l.usr FROM device_lists l WHERE l.pos > $2 AND l.pos <= $3 AND (l.usr = $1 OR EXISTS (
			SELECT 1 FROM memberships b CROSS JOIN memberships a
			WHERE b.usr = l.usr AND b.membership = 1 AND a.usr = $1 AND a.room = b.room AND a.membership = 1))
		ORDER BY l.usr`, user, after, upto)
}

// DeviceListPos is where a user's device list last changed; 0 when it never did.
func (db *DB) DeviceListPos(ctx context.Context, user int64) (pos int64, err error) {
	err = db.row(ctx, `SELECT COALESCE(MAX(pos), 0) FROM device_lists WHERE usr = $1`, []any{user}, &pos)
	return pos, err
}

// ListNewlyShared lists the users who are joined to a room with a user where one of the two stands since a position in
// (after, upto]: people he may have met anew.
func (db *DB) ListNewlyShared(ctx context.Context, user, after, upto int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT DISTINCT b.usr FROM memberships a JOIN memberships b ON b.room = a.room
		WHERE a.usr = $1 AND a.membership = 1 AND b.membership = 1 AND b.usr <> $1
			AND (a.pos > $2 AND a.pos <= $3 OR b.pos > $2 AND b.pos <= $3) ORDER BY b.usr`, user, after, upto)
}

// ListParted lists the users with whom a user shares no room any more, though one of the two left a room of the other in
// (after, upto].
func (db *DB) ListParted(ctx context.Context, user, after, upto int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT DISTINCT b.usr FROM memberships a JOIN memberships b ON b.room = a.room
		WHERE a.usr = $1 AND b.usr <> $1 AND (a.membership = 1 AND b.membership IN (4, 5) AND b.pos > $2 AND b.pos <= $3
				OR a.membership IN (4, 5) AND a.pos > $2 AND a.pos <= $3 AND (b.membership = 1 OR b.pos > $2))
			AND NOT EXISTS (SELECT 1 FROM memberships c JOIN memberships d ON d.room = c.room AND d.usr = b.usr
				WHERE c.usr = $1 AND c.membership = 1 AND d.membership = 1)
		ORDER BY b.usr`, user, after, upto)
}

// ShareRoom reports whether two users are joined to a room in common.
func (db *DB) ShareRoom(ctx context.Context, a, b int64) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM memberships a JOIN memberships b ON b.room = a.room AND b.usr = $2
		WHERE a.usr = $1 AND a.membership = 1 AND b.membership = 1 LIMIT 1) x`, []any{a, b}, &n)
	return n > 0, err
}

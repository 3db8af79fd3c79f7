package storage

import (
	"context"

	"rempart/internal/matrix"
)

// Dehydrated is a device that is kept here for its user while nobody uses it (MSC3814). Data is JSON, the clients' own.
type Dehydrated struct {
	User, Device int64
	ID           matrix.DeviceID
	Data         []byte
}

// DehydratedRow says which device is the user's dehydrated one, in place of the one before.
type DehydratedRow struct{ Dehydrated }

var dehydratedTable = newTable("dehydrated_devices", "usr:i device:i data:b", 1, "update")

func (*DehydratedRow) table() *table          { return dehydratedTable }
func (r *DehydratedRow) args(dst []any) []any { return append(dst, r.User, r.Device, r.Data) }

// FindDehydrated reads the dehydrated device of a user; ErrNotFound when there is none.
func (db *DB) FindDehydrated(ctx context.Context, user int64) (d Dehydrated, err error) {
	d.User = user
	err = db.row(ctx, `SELECT x.device, d.device_id, x.data FROM dehydrated_devices x JOIN devices d ON d.nid = x.device
		WHERE x.usr = $1`, []any{user}, &d.Device, &d.ID, &d.Data)
	return d, err
}

// InsertNewDevice adds a device; it fails when the user has one of that name.
func InsertNewDevice(d Device) Guard {
	return Guard{
		sql: `INSERT INTO devices (nid, usr, device_id, display_name, created) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (usr, device_id) DO NOTHING`,
		args: []any{d.NID, d.User, string(d.ID), d.DisplayName, d.Created}, want: 1,
	}
}

// DeleteDehydrated removes the dehydrated device of a user, if there is one, with its keys and messages.
// Why it is looked up here and not before: of two that come at once the later one replaces the other.
func DeleteDehydrated(user int64) []Guard {
	const device = `(SELECT device FROM dehydrated_devices WHERE usr = $1)`
	const name = `(SELECT device_id FROM devices WHERE nid IN ` + device + `)`
	var out []Guard
	for _, sql := range []string{
		`DELETE FROM one_time_keys WHERE device IN ` + device,
		`DELETE FROM fallback_keys WHERE device IN ` + device,
		`DELETE FROM to_device WHERE device IN ` + device,
		`DELETE FROM device_keys WHERE usr = $1 AND device_id IN ` + name,
		`DELETE FROM key_signatures WHERE usr = $1 AND target IN ` + name,
		`DELETE FROM devices WHERE nid IN ` + device,
		`DELETE FROM dehydrated_devices WHERE usr = $1`,
	} {
		out = append(out, Guard{sql: sql, args: []any{user}, want: anyRows})
	}
	return out
}

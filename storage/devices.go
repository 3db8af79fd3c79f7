package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Device is a device of a local user.
type Device struct {
	NID, User   int64
	ID          matrix.DeviceID
	DisplayName string
	Created     int64
	// The last use of any of its sessions; LastSeen 0: never.
	LastSeen int64
	IP       string
}

// InsertDevice adds a device, or finds the one of that name; nid receives its number either way.
func InsertDevice(d Device, nid *int64) Guard {
	return Guard{
		sql: `INSERT INTO devices (nid, usr, device_id, display_name, created) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (usr, device_id) DO UPDATE SET device_id = excluded.device_id RETURNING nid`,
		args: []any{d.NID, d.User, string(d.ID), d.DisplayName, d.Created}, want: 1, scan: scanInto(nid),
	}
}

// UpdateDeviceName renames a device.
func UpdateDeviceName(device int64, name string) Guard {
	return Guard{sql: `UPDATE devices SET display_name = $2 WHERE nid = $1`, args: []any{device, name}, want: 1}
}

// The types of account data that hold the settings of one device, whose id follows.
const (
	localSettings         = "m.local_notification_settings."
	unstableLocalSettings = "org.matrix.msc3890.local_notification_settings."
)

// DeleteDevice removes a device with its sessions, keys, messages, pushers and settings.
func DeleteDevice(user, device int64, id matrix.DeviceID) []Guard {
	del := func(sql string, args ...any) Guard { return Guard{sql: sql, args: args, want: anyRows} }
	return []Guard{
		del(`DELETE FROM session_seen WHERE session IN (SELECT nid FROM sessions WHERE device = $1)`, device),
		del(`DELETE FROM sessions WHERE device = $1`, device),
		del(`DELETE FROM one_time_keys WHERE device = $1`, device),
		del(`DELETE FROM fallback_keys WHERE device = $1`, device),
		del(`DELETE FROM to_device WHERE device = $1`, device),
		del(`DELETE FROM sliding_connections WHERE usr = $1 AND device = $2`, user, device),
		del(`DELETE FROM device_keys WHERE usr = $1 AND device_id = $2`, user, string(id)),
		del(`DELETE FROM key_signatures WHERE usr = $1 AND target = $2`, user, string(id)),
		del(`DELETE FROM dehydrated_devices WHERE device = $1`, device),
		del(`DELETE FROM pushers WHERE usr = $1 AND device = $2`, user, device),
		// MSC3890: what was set for this device alone.
		del(`DELETE FROM account_data WHERE usr = $1 AND room = 0 AND type IN ($2, $3)`, user,
			localSettings+string(id), unstableLocalSettings+string(id)),
		del(`DELETE FROM devices WHERE nid = $1`, device),
	}
}

const deviceQuery = `SELECT d.nid, d.usr, d.device_id, d.display_name, d.created, COALESCE(x.ts, 0), COALESCE(x.ip, '')
	FROM devices d LEFT JOIN sessions s ON s.device = d.nid LEFT JOIN session_seen x ON x.session = s.nid `

func scanDevice(r *sql.Rows) (d Device, err error) {
	err = r.Scan(&d.NID, &d.User, &d.ID, &d.DisplayName, &d.Created, &d.LastSeen, &d.IP)
	return d, err
}

// ListDevices lists the devices of a user by name.
func (db *DB) ListDevices(ctx context.Context, user int64) ([]Device, error) {
	return db.devices(ctx, deviceQuery+`WHERE d.usr = $1 ORDER BY d.device_id, COALESCE(x.ts, 0) DESC`, user)
}

// FindDevice reads one device of a user; ErrNotFound when there is none.
func (db *DB) FindDevice(ctx context.Context, user int64, id matrix.DeviceID) (Device, error) {
	found, err := db.devices(ctx, deviceQuery+`WHERE d.usr = $1 AND d.device_id = $2 ORDER BY d.device_id, COALESCE(x.ts, 0) DESC`,
		user, string(id))
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Device{}, err
	}
	return found[0], nil
}

// devices keeps, of a device with several sessions, the row of the one used last.
func (db *DB) devices(ctx context.Context, text string, args ...any) ([]Device, error) {
	var out []Device
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		d, err := scanDevice(r)
		if err == nil && (len(out) == 0 || out[len(out)-1].NID != d.NID) {
			out = append(out, d)
		}
		return err
	})
	return out, err
}

// DeviceName is what a user's device is called by its short form: number and id.
type DeviceName struct {
	NID int64
	ID  matrix.DeviceID
}

// ListDeviceNames lists the numbers and ids of a user's devices.
func (db *DB) ListDeviceNames(ctx context.Context, user int64) ([]DeviceName, error) {
	var out []DeviceName
	err := db.each(ctx, `SELECT nid, device_id FROM devices WHERE usr = $1 ORDER BY nid`, []any{user}, func(r *sql.Rows) error {
		var d DeviceName
		err := r.Scan(&d.NID, &d.ID)
		out = append(out, d)
		return err
	})
	return out, err
}

// ListDevicesOf lists the numbers and ids of the devices of some users, by user.
func (db *DB) ListDevicesOf(ctx context.Context, users []int64) (map[int64][]DeviceName, error) {
	out := make(map[int64][]DeviceName, len(users))
	err := db.eachIn(ctx, `SELECT usr, nid, device_id FROM devices WHERE usr IN`, users, ``, func(r *sql.Rows) error {
		var user int64
		var d DeviceName
		err := r.Scan(&user, &d.NID, &d.ID)
		out[user] = append(out[user], d)
		return err
	})
	return out, err
}

// DeleteUserDevices removes all devices of a user but one (0: all) and but the dehydrated one, with all sessions but that
// one's.
func DeleteUserDevices(user, except int64) []Guard {
	const which = `usr = $1 AND nid <> $2 AND nid NOT IN (SELECT device FROM dehydrated_devices WHERE usr = $1)`
	const devices = `(SELECT nid FROM devices WHERE ` + which + `)`
	const names = `(SELECT device_id FROM devices WHERE ` + which + `)`
	var out []Guard
	for _, sql := range []string{
		`DELETE FROM session_seen WHERE session IN (SELECT nid FROM sessions WHERE usr = $1 AND (device = 0 OR device <> $2))`,
		`DELETE FROM sessions WHERE usr = $1 AND (device = 0 OR device <> $2)`,
		`DELETE FROM one_time_keys WHERE device IN ` + devices,
		`DELETE FROM fallback_keys WHERE device IN ` + devices,
		`DELETE FROM to_device WHERE device IN ` + devices,
		`DELETE FROM device_keys WHERE usr = $1 AND device_id IN ` + names,
		`DELETE FROM key_signatures WHERE usr = $1 AND target IN ` + names,
		`DELETE FROM pushers WHERE usr = $1 AND (device = 0 OR device <> $2)`,
		`DELETE FROM account_data WHERE usr = $1 AND room = 0 AND type IN (SELECT '` + localSettings + `' || device_id FROM devices WHERE ` + which +
			` UNION ALL SELECT '` + unstableLocalSettings + `' || device_id FROM devices WHERE ` + which + `)`,
		`DELETE FROM devices WHERE ` + which,
	} {
		out = append(out, Guard{sql: sql, args: []any{user, except}, want: anyRows})
	}
	return out
}

// FindDeviceNID is the number of a user's device; ErrNotFound when there is none.
func (db *DB) FindDeviceNID(ctx context.Context, user int64, id matrix.DeviceID) (nid int64, err error) {
	err = db.row(ctx, `SELECT nid FROM devices WHERE usr = $1 AND device_id = $2`, []any{user, string(id)}, &nid)
	return nid, err
}

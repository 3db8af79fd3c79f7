package storage

import (
	"context"
	"database/sql"
)

// ToDevice is a message for one device.
type ToDevice struct {
	Pos, Part    int64 // its place: position, then number within it
	Sender, Type string
	Content      []byte // JSON object
}

// ToDeviceRow queues a message for a device. Its Live entry is one of KindToDevice for the device's user; Part tells
// apart the messages of one entry.
type ToDeviceRow struct {
	At
	Device, Part int64
	Sender, Type string
	Content      []byte
}

var toDeviceTable = newTable("to_device", "device:i pos:i part:i sender:t type:t content:b", 3, "")

func (*ToDeviceRow) table() *table { return toDeviceTable }
func (r *ToDeviceRow) args(dst []any) []any {
	return append(dst, r.Device, r.Pos, r.Part, r.Sender, r.Type, r.Content)
}

// ListToDevice lists the messages of a device in (after, upto], oldest first, at most limit of them. When it returns
// limit messages the caller goes on behind the last one's position; messages of one position are few and never split.
func (db *DB) ListToDevice(ctx context.Context, device, after, upto int64, limit int) ([]ToDevice, error) {
	var out []ToDevice
	err := db.each(ctx, `SELECT pos, part, sender, type, content FROM to_device
		WHERE device = $1 AND pos > $2 AND pos <= $3 ORDER BY pos, part LIMIT $4`,
		[]any{device, after, upto, int64(limit) + 1}, func(r *sql.Rows) error {
			var m ToDevice
			err := r.Scan(&m.Pos, &m.Part, &m.Sender, &m.Type, &m.Content)
			out = append(out, m)
			return err
		})
	if err != nil || len(out) <= limit {
		return out, err
	}
	return wholePositions(out, limit), nil
}

// wholePositions cuts a list that goes on, so that no position is split; a single position stays as it is.
func wholePositions(list []ToDevice, limit int) []ToDevice {
	n := limit
	for n > 0 && list[n-1].Pos == list[limit].Pos {
		n--
	}
	if n == 0 {
		n = limit
	}
	return list[:n]
}

// DeleteToDevice forgets the messages of a device up to a position: the device has proved that it has them.
func DeleteToDevice(device, upto int64) Guard {
	return Guard{sql: `DELETE FROM to_device WHERE device = $1 AND pos <= $2`, args: []any{device, upto}, want: anyRows}
}

// InsertTransaction takes a transaction id of a device; it fails when the id is taken, that is, the request repeated.
func InsertTransaction(t TransactionRow) Guard {
	return Guard{
		sql:  `INSERT INTO transactions (device, endpoint, txn, event, ts) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		args: []any{t.Device, t.Endpoint, t.TxnID, t.Event, t.TS}, want: 1,
	}
}

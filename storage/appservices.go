package storage

import (
	"context"
	"database/sql"
	"encoding/binary"
	"math"
	"slices"

	"rempart/internal/matrix"
)

// AppserviceOutboxRow says that application services are to be told an event.
type AppserviceOutboxRow struct {
	At
	Event int64
	// Services are the numbers of the services.
	Services []int64
}

var appserviceOutboxTable = newTable("appservice_outbox", "pos:i event:i services:b", 2, "ignore")

func (*AppserviceOutboxRow) table() *table { return appserviceOutboxTable }
func (r *AppserviceOutboxRow) args(dst []any) []any {
	set := make([]byte, 0, 8*len(r.Services))
	for _, n := range r.Services {
		set = binary.BigEndian.AppendUint64(set, uint64(n))
	}
	return append(dst, r.Pos, r.Event, set)
}

// ListAppserviceOutbox lists what is to be told behind a position and up to another, in order. A list that reaches the
// limit ends anywhere within its last position.
func (db *DB) ListAppserviceOutbox(ctx context.Context, after, upto int64, limit int) ([]AppserviceOutboxRow, error) {
	var out []AppserviceOutboxRow
	err := db.each(ctx, `SELECT pos, event, services FROM appservice_outbox WHERE pos > $1 AND pos <= $2 ORDER BY pos, event LIMIT $3`,
		[]any{after, upto, int64(limit)}, func(r *sql.Rows) error {
			var o AppserviceOutboxRow
			var set []byte
			err := r.Scan(&o.Pos, &o.Event, &set)
			for ; len(set) >= 8; set = set[8:] {
				o.Services = append(o.Services, int64(binary.BigEndian.Uint64(set)))
			}
			out = append(out, o)
			return err
		})
	return out, err
}

// CountAppserviceOutbox counts what a service is to be told behind a position, up to one more than a limit.
func (db *DB) CountAppserviceOutbox(ctx context.Context, number, after int64, limit int) (n int, err error) {
	const page = 1000
	for n <= limit {
		rows, err := db.ListAppserviceOutbox(ctx, after, math.MaxInt64, page)
		if err != nil {
			return 0, err
		}
		for _, row := range rows {
			after = row.Pos
			if slices.Contains(row.Services, number) && n <= limit {
				n++
			}
		}
		if len(rows) < page {
			break
		}
	}
	return n, nil
}

// PruneAppserviceOutbox forgets what everybody has been told, all up to a position, in bites. It stops after some, and says whether it is done.
func (db *DB) PruneAppserviceOutbox(ctx context.Context, upto int64) (bool, error) {
	return db.eat(ctx, bite{table: "appservice_outbox", column: "pos"}, upto, bitesAtOnce)
}

// AppserviceCursor is how far an application service has been told.
type AppserviceCursor struct {
	Number int64
	ID     string
	// Pos is how far everything has arrived, Lists the same of changed device lists.
	Pos, Lists int64
	// Txn is the transaction under way, "" when there is none; FlightPos and FlightLists are how far it goes, Flight what
	// it holds.
	Txn                    string
	FlightPos, FlightLists int64
	Flight                 []byte
	// Since is when the service began to fail, 0 while it does not; Retry when it is tried next; Reason why it failed.
	Since, Retry int64
	Reason       string
	// Success is when it last took something.
	Success int64
}

// AppserviceRow sets a cursor.
type AppserviceRow struct{ AppserviceCursor }

var appservicesTable = newTable("appservices",
	"number:i id:t pos:i lists:i txn:t flight_pos:i flight_lists:i flight:b since:i retry:i success:i reason:t", 1, "update")

func (*AppserviceRow) table() *table { return appservicesTable }
func (r *AppserviceRow) args(dst []any) []any {
	flight := r.Flight
	if flight == nil {
		flight = []byte{}
	}
	return append(dst, r.Number, r.ID, r.Pos, r.Lists, r.Txn, r.FlightPos, r.FlightLists, flight, r.Since, r.Retry, r.Success, r.Reason)
}

// ListAppservices lists the cursors of all services that were ever told something.
func (db *DB) ListAppservices(ctx context.Context) ([]AppserviceCursor, error) {
	var out []AppserviceCursor
	err := db.each(ctx, `SELECT number, id, pos, lists, txn, flight_pos, flight_lists, flight, since, retry, success, reason
		FROM appservices ORDER BY id`, nil, func(r *sql.Rows) error {
		var c AppserviceCursor
		err := r.Scan(&c.Number, &c.ID, &c.Pos, &c.Lists, &c.Txn, &c.FlightPos, &c.FlightLists, &c.Flight, &c.Since, &c.Retry,
			&c.Success, &c.Reason)
		out = append(out, c)
		return err
	})
	return out, err
}

// DeviceMessage is a message for a device of a service's user.
type DeviceMessage struct {
	ToDevice
	DeviceNID int64
	User      matrix.UserID
	Device    matrix.DeviceID
}

// ListServiceToDevice lists the oldest messages that wait for devices of the accounts of a service.
func (db *DB) ListServiceToDevice(ctx context.Context, service string, limit int) ([]DeviceMessage, error) {
	var out []DeviceMessage
	err := db.each(ctx, `SELECT t.pos, t.part, t.sender, t.type, t.content, t.device, i.user_id, d.device_id
		FROM users u JOIN devices d ON d.usr = u.nid JOIN to_device t ON t.device = d.nid JOIN user_ids i ON i.nid = u.nid
		WHERE u.appservice = $1 AND u.appservice <> '' ORDER BY t.pos, t.part, t.device LIMIT $2`, []any{service, int64(limit)}, func(r *sql.Rows) error {
		var m DeviceMessage
		err := r.Scan(&m.Pos, &m.Part, &m.Sender, &m.Type, &m.Content, &m.DeviceNID, &m.User, &m.Device)
		out = append(out, m)
		return err
	})
	return out, err
}

// DeleteOneToDevice forgets one message of a device.
func DeleteOneToDevice(device, pos, part int64) Guard {
	return Guard{sql: `DELETE FROM to_device WHERE device = $1 AND pos = $2 AND part = $3`, args: []any{device, pos, part}, want: anyRows}
}

// ListChange says when somebody's device list last changed.
type ListChange struct {
	Pos  int64
	User matrix.UserID
}

// ListServiceListChanges lists users whose device list changed between two positions and who are in a room with an account of
// a service.
func (db *DB) ListServiceListChanges(ctx context.Context, service string, after, upto int64, limit int) ([]ListChange, error) {
	var out []ListChange
	err := db.each(ctx, `SELECT l.pos, i.user_id FROM device_lists l JOIN user_ids i ON i.nid = l.usr
		WHERE l.pos > $1 AND l.pos <= $2 AND EXISTS (SELECT 1 FROM memberships m JOIN memberships x ON x.room = m.room
			JOIN users u ON u.nid = x.usr
			WHERE m.usr = l.usr AND m.membership = $4 AND x.membership = $4 AND u.appservice = $3 AND u.appservice <> '')
		ORDER BY l.pos, l.usr LIMIT $5`, []any{after, upto, service, int64(MemberJoin), int64(limit)}, func(r *sql.Rows) error {
		var c ListChange
		err := r.Scan(&c.Pos, &c.User)
		out = append(out, c)
		return err
	})
	return out, err
}

// ListUnshared lists those of some users who are in no room with an account of a service, and are no such accounts themselves.
func (db *DB) ListUnshared(ctx context.Context, service string, users []int64) (out []matrix.UserID, err error) {
	err = db.eachIn(ctx, `SELECT i.user_id FROM user_ids i WHERE NOT EXISTS (SELECT 1 FROM memberships m JOIN memberships x ON x.room = m.room
			JOIN users u ON u.nid = x.usr
			WHERE m.usr = i.nid AND m.membership = $2 AND x.membership = $2 AND u.appservice = $1 AND u.appservice <> '')
		AND NOT EXISTS (SELECT 1 FROM users o WHERE o.nid = i.nid AND o.appservice = $1) AND i.nid IN`, users, ` ORDER BY i.nid`,
		func(r *sql.Rows) error {
			var user matrix.UserID
			err := r.Scan(&user)
			out = append(out, user)
			return err
		}, service, int64(MemberJoin))
	return out, err
}

// ListServiceUsers lists the accounts of a service that have devices.
func (db *DB) ListServiceUsers(ctx context.Context, service string, limit int) ([]int64, error) {
	return db.numbers(ctx, `SELECT u.nid FROM users u WHERE u.appservice = $1 AND u.appservice <> ''
		AND EXISTS (SELECT 1 FROM devices d WHERE d.usr = u.nid) ORDER BY u.nid LIMIT $2`, service, int64(limit))
}

// SetNetworkRoom is the guard that lists a room in the directory of a third-party network, or takes it out.
func SetNetworkRoom(instance string, room int64, listed bool) Guard {
	if !listed {
		return Guard{sql: `DELETE FROM network_rooms WHERE instance = $1 AND room = $2`, args: []any{instance, room}, want: anyRows}
	}
	return Guard{sql: `INSERT INTO network_rooms (instance, room) VALUES ($1, $2) ON CONFLICT DO NOTHING`, args: []any{instance, room}, want: anyRows}
}

// BeginAppservice notes a service that is new, with the position from which on it is told.
func BeginAppservice(number int64, id string, pos int64) Guard {
	return Guard{sql: `INSERT INTO appservices (number, id, pos, lists, txn, flight_pos, flight_lists, flight, since, retry, success, reason)
		VALUES ($1, $2, $3, $3, '', 0, 0, $4, 0, 0, 0, '') ON CONFLICT DO NOTHING`, args: []any{number, id, pos, []byte{}}, want: anyRows}
}

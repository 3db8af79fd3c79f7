package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// ReportQuery chooses reports that wait; zero fields do not choose.
type ReportQuery struct {
	Tenant                 int64
	Users                  bool // reports of users, in the place of those of events
	Reporter, Target, Room int64
	Backward               bool
	Offset, Limit          int64
}

const reportWhere = ` FROM reports WHERE tenant = $1 AND closed = 0 AND (CAST($2 AS BIGINT) = 0 OR reporter = $2)
	AND (CAST($3 AS BIGINT) = 0 OR target = $3) AND (CAST($4 AS BIGINT) = 0 OR room = $4) AND (CASE WHEN event <> '' THEN 1 WHEN room = 0 THEN 2 ELSE 3 END) = $5`

func (q *ReportQuery) args() []any {
	kind := int64(1)
	if q.Users {
		kind = 2
	}
	return []any{q.Tenant, q.Reporter, q.Target, q.Room, kind}
}

const reportColumns = `nid, ts, tenant, reporter, room, event, target, reason, score, closed`

func (p *Report) dest() []any {
	return []any{&p.NID, &p.TS, &p.Tenant, &p.Reporter, &p.Room, &p.Event, &p.Target, &p.Reason, &p.Score, &p.Closed}
}

// QueryReports lists reports that wait, and counts all that match.
func (db *DB) QueryReports(ctx context.Context, q ReportQuery) (list []Report, total int64, err error) {
	if err := db.row(ctx, `SELECT COUNT(*)`+reportWhere, q.args(), &total); err != nil {
		return nil, 0, err
	}
	order := ` ORDER BY ts, nid`
	if q.Backward {
		order = ` ORDER BY ts DESC, nid DESC`
	}
	err = db.each(ctx, `SELECT `+reportColumns+reportWhere+order+` LIMIT $6 OFFSET $7`, append(q.args(), q.Limit, q.Offset),
		func(r *sql.Rows) error {
			var p Report
			err := r.Scan(p.dest()...)
			list = append(list, p)
			return err
		})
	return list, total, err
}

// FindReport reads a report that waits; ErrNotFound when there is none.
func (db *DB) FindReport(ctx context.Context, tenant, nid int64) (p Report, err error) {
	err = db.row(ctx, `SELECT `+reportColumns+` FROM reports WHERE tenant = $1 AND nid = $2 AND closed = 0`, []any{tenant, nid}, p.dest()...)
	return p, err
}

// ListRegistrationTokens lists a tenant's registration tokens.
func (db *DB) ListRegistrationTokens(ctx context.Context, tenant int64) ([]RegistrationToken, error) {
	var out []RegistrationToken
	err := db.each(ctx, `SELECT token, tenant, uses_allowed, pending, completed, expires FROM registration_tokens WHERE tenant = $1 ORDER BY token`,
		[]any{tenant}, func(r *sql.Rows) error {
			var t RegistrationToken
			err := r.Scan(&t.Token, &t.Tenant, &t.UsesAllowed, &t.Pending, &t.Completed, &t.Expires)
			out = append(out, t)
			return err
		})
	return out, err
}

// AddRegistrationToken adds a token; it fails when there is one of that name.
func AddRegistrationToken(t RegistrationToken) Guard {
	g := InsertRegistrationToken(t)
	g.want = 1
	return g
}

// UpdateRegistrationToken changes the bounds of a token.
func UpdateRegistrationToken(t RegistrationToken) Guard {
	return Guard{sql: `UPDATE registration_tokens SET uses_allowed = $3, expires = $4 WHERE token = $1 AND tenant = $2`,
		args: []any{t.Token, t.Tenant, t.UsesAllowed, t.Expires}, want: 1}
}

// DeleteRegistrationToken forgets a token.
func DeleteRegistrationToken(tenant int64, token string) Guard {
	return Guard{sql: `DELETE FROM registration_tokens WHERE token = $1 AND tenant = $2`, args: []any{token, tenant}, want: 1}
}

// DestinationRoom is a room that another server is in, with the last position at which something happened in it.
type DestinationRoom struct {
	ID  matrix.RoomID
	Pos int64
}

// ListRoomsWith lists the rooms that a server has members in.
// Why the cross join: SQLite takes it for an order, and there are fewer people than memberships.
func (db *DB) ListRoomsWith(ctx context.Context, server matrix.ServerName) ([]DestinationRoom, error) {
	var out []DestinationRoom
	err := db.each(ctx, `SELECT r.room_id, r.last_pos FROM rooms r WHERE r.nid IN (SELECT m.room FROM user_ids i
		CROSS JOIN memberships m WHERE m.usr = i.nid AND m.membership = 1 AND i.user_id LIKE $1) ORDER BY r.room_id`,
		[]any{"%:" + string(server)}, func(r *sql.Rows) error {
			var d DestinationRoom
			err := r.Scan(&d.ID, &d.Pos)
			out = append(out, d)
			return err
		})
	return out, err
}

// RetryDestination lets a destination be tried at once.
func RetryDestination(server matrix.ServerName) Guard {
	return Guard{sql: `UPDATE destinations SET retry = 0 WHERE server = $1`, args: []any{string(server)}, want: someRows}
}

// DeviceSeen is a device with where and with what it was last used.
type DeviceSeen struct {
	Device
	UserAgent string
}

// ListDevicesSeen lists the devices of a user by name.
func (db *DB) ListDevicesSeen(ctx context.Context, user int64) ([]DeviceSeen, error) {
	var out []DeviceSeen
	err := db.each(ctx, `SELECT d.nid, d.usr, d.device_id, d.display_name, d.created, COALESCE(x.ts, 0), COALESCE(x.ip, ''),
			COALESCE(x.user_agent, '')
		FROM devices d LEFT JOIN sessions s ON s.device = d.nid LEFT JOIN session_seen x ON x.session = s.nid
		WHERE d.usr = $1 ORDER BY d.device_id, COALESCE(x.ts, 0) DESC`, []any{user}, func(r *sql.Rows) error {
		var d DeviceSeen
		err := r.Scan(&d.NID, &d.User, &d.ID, &d.DisplayName, &d.Created, &d.LastSeen, &d.IP, &d.UserAgent)
		if err == nil && (len(out) == 0 || out[len(out)-1].NID != d.NID) {
			out = append(out, d)
		}
		return err
	})
	return out, err
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// ListedRoom is a room in an administrator's list.
type ListedRoom struct {
	NID     int64
	ID      matrix.RoomID
	Version string
	Public  bool
	// Moved grows with whatever enters the room, StateSeq with each change of its current state and so of its members.
	Moved, StateSeq     int64
	Joined, JoinedLocal int64 // filled in from CountPeople
	StateEvents         int64 // filled in by CountStateRows
}

// ListAllRooms lists the rooms that this installation knows.
func (db *DB) ListAllRooms(ctx context.Context) ([]ListedRoom, error) {
	var out []ListedRoom
	err := db.each(ctx, `SELECT nid, room_id, room_version, public, version, state_seq FROM rooms`, nil, func(r *sql.Rows) error {
		var l ListedRoom
		var public int64
		err := r.Scan(&l.NID, &l.ID, &l.Version, &public, &l.Moved, &l.StateSeq)
		l.Public = public != 0
		out = append(out, l)
		return err
	})
	return out, err
}

// RoomPeople counts the members of a room: all, and those who have accounts here.
type RoomPeople struct {
	Joined, Local int64
	Tenants       []int64 // whose accounts ever had to do with the room
}

// CountPeople counts the members of some rooms; rooms that nobody ever had to do with are left out.
func (db *DB) CountPeople(ctx context.Context, rooms []int64) (map[int64]RoomPeople, error) {
	out := make(map[int64]RoomPeople, len(rooms))
	err := db.eachIn(ctx, `SELECT m.room, COALESCE(u.tenant, 0), CAST(SUM(CASE WHEN m.membership = 1 THEN 1 ELSE 0 END) AS BIGINT)
		FROM memberships m LEFT JOIN users u ON u.nid = m.usr WHERE m.room IN`, rooms, ` GROUP BY m.room, COALESCE(u.tenant, 0)`,
		func(r *sql.Rows) error {
			var room, tenant, n int64
			err := r.Scan(&room, &tenant, &n)
			p := out[room]
			if p.Joined += n; tenant != 0 {
				p.Local += n
				p.Tenants = append(p.Tenants, tenant)
			}
			out[room] = p
			return err
		})
	return out, err
}

// TenantInRoom reports whether an account of a tenant ever had to do with a room.
func (db *DB) TenantInRoom(ctx context.Context, tenant, room int64) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM memberships m JOIN users u ON u.nid = m.usr
		WHERE m.room = $1 AND u.tenant = $2 LIMIT 1) AS one`, []any{room, tenant}, &n)
	return n > 0, err
}

// OthersInRoom reports whether accounts of other tenants are in a room, or wait to be.
func (db *DB) OthersInRoom(ctx context.Context, tenant, room int64) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM memberships m JOIN users u ON u.nid = m.usr
		WHERE m.room = $1 AND u.tenant <> $2 AND m.membership IN ($3, $4, $5) LIMIT 1) AS one`,
		[]any{room, tenant, int64(MemberJoin), int64(MemberInvite), int64(MemberKnock)}, &n)
	return n > 0, err
}

// CountStateRows counts, per room, how often its current state has changed.
func (db *DB) CountStateRows(ctx context.Context, rooms []int64) (map[int64]int64, error) {
	out := make(map[int64]int64, len(rooms))
	err := db.eachIn(ctx, `SELECT room, COUNT(*) FROM state_rows WHERE branch = 0 AND room IN`, rooms, ` GROUP BY room`,
		func(r *sql.Rows) error {
			var room, n int64
			err := r.Scan(&room, &n)
			out[room] = n
			return err
		})
	return out, err
}

// EachCurrent calls fn with the current event of one key for those of some rooms that have it, in the form that is shown.
func (db *DB) EachCurrent(ctx context.Context, key int64, rooms []int64, fn func(room int64, body []byte)) error {
	return db.eachIn(ctx, `SELECT s.room, COALESCE(j.redacted, j.json) FROM rooms r JOIN state_rows s ON s.room = r.nid AND s.branch = 0
			AND s.skey = $1 AND s.seq = (SELECT MAX(x.seq) FROM state_rows x WHERE x.room = r.nid AND x.branch = 0 AND x.skey = $1)
		JOIN event_json j ON j.nid = s.event WHERE r.nid IN`, rooms, ``, func(r *sql.Rows) error {
		var room int64
		var body []byte
		err := r.Scan(&room, &body)
		if err == nil {
			fn(room, body)
		}
		return err
	}, key)
}

// CountLocalDevices counts the devices of the local members of a room.
func (db *DB) CountLocalDevices(ctx context.Context, room int64) (n int64, err error) {
	err = db.row(ctx, `SELECT COUNT(*) FROM memberships m JOIN devices d ON d.usr = m.usr WHERE m.room = $1 AND m.membership = 1`,
		[]any{room}, &n)
	return n, err
}

// RemembersRoom reports whether a local account has not forgotten a room.
func (db *DB) RemembersRoom(ctx context.Context, room int64) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM memberships m JOIN users u ON u.nid = m.usr
		WHERE m.room = $1 AND m.forgotten = 0 LIMIT 1) AS one`, []any{room}, &n)
	return n > 0, err
}

// ListSentBy lists the numbers of the events that a user has sent into a room, newest first, before a position, within times
// (0: any). Redacted events and redactions of others are passed over by the caller.
func (db *DB) ListSentBy(ctx context.Context, room, user, before, since, until int64, limit int) (nids []int64, last int64, err error) {
	if until == 0 {
		until = 1 << 62
	}
	err = db.each(ctx, `SELECT nid, pos FROM events WHERE room = $1 AND pos > 0 AND pos < $2 AND sender = $3 AND ts >= $4 AND ts <= $5
		ORDER BY pos DESC LIMIT $6`, []any{room, before, user, since, until, int64(limit)}, func(r *sql.Rows) error {
		var nid int64
		err := r.Scan(&nid, &last)
		nids = append(nids, nid)
		return err
	})
	return nids, last, err
}

// RoomSize is an estimate of what a room takes in the database.
type RoomSize struct {
	Room  matrix.RoomID
	Bytes int64
}

// ListLargestRooms estimates the sizes of the largest rooms: their events, by the mean size of the newest ones.
func (db *DB) ListLargestRooms(ctx context.Context, tenant int64, limit int) ([]RoomSize, error) {
	var mean float64
	if err := db.row(ctx, `SELECT COALESCE(AVG(LENGTH(json)), 0) FROM (SELECT json FROM event_json ORDER BY nid DESC LIMIT 1000) AS newest`,
		nil, &mean); err != nil {
		return nil, err
	}
	const perEvent = 400 // the event's own row, its indexes and the searchable text, about
	var out []RoomSize
	err := db.each(ctx, `SELECT r.room_id, e.n FROM (SELECT room, COUNT(*) AS n FROM events GROUP BY room) e JOIN rooms r ON r.nid = e.room
		WHERE CAST($1 AS BIGINT) = 0 OR EXISTS (SELECT 1 FROM memberships m JOIN users u ON u.nid = m.usr WHERE m.room = r.nid AND u.tenant = $1)
		ORDER BY e.n DESC, r.room_id LIMIT $2`, []any{tenant, int64(limit)}, func(r *sql.Rows) error {
		var s RoomSize
		err := r.Scan(&s.Room, &s.Bytes)
		s.Bytes *= int64(mean) + perEvent
		out = append(out, s)
		return err
	})
	return out, err
}

// eventsAtOnce is how many events of a room are read at once.
const eventsAtOnce = 1000

// EachRoomJSON calls fn with every event of a room that is not redacted: first what entered the stream, then the history before it.
// Why in two walks: each follows an index. An order over both sorted the whole room again for every thousand events.
func (db *DB) EachRoomJSON(ctx context.Context, room int64, fn func(body []byte)) error {
	for after, more := int64(0), true; more; {
		n, err := db.roomJSON(ctx, `SELECT e.pos, e.nid, j.redacted_by, j.json FROM events e JOIN event_json j ON j.nid = e.nid
			WHERE e.room = $1 AND e.pos > $2 ORDER BY e.pos LIMIT $3`, []any{room, after, int64(eventsAtOnce)}, &after, new(int64), fn)
		if err != nil {
			return err
		}
		more = n == eventsAtOnce
	}
	for depth, nid, more := int64(-1), int64(0), true; more; {
		n, err := db.roomJSON(ctx, `SELECT e.depth, e.nid, j.redacted_by, j.json FROM events e JOIN event_json j ON j.nid = e.nid
			WHERE e.room = $1 AND e.pos = 0 AND e.depth >= $2 AND (e.depth > $2 OR e.nid > $3) ORDER BY e.depth, e.nid LIMIT $4`,
			[]any{room, depth, nid, int64(eventsAtOnce)}, &depth, &nid, fn)
		if err != nil {
			return err
		}
		more = n == eventsAtOnce
	}
	return nil
}

// roomJSON reads one piece and tells how long it was, and where its last event stands.
func (db *DB) roomJSON(ctx context.Context, text string, args []any, place, nid *int64, fn func(body []byte)) (n int, err error) {
	err = db.each(ctx, text, args, func(r *sql.Rows) error {
		var redacted int64
		var body sql.RawBytes
		err := r.Scan(place, nid, &redacted, &body)
		if err == nil && redacted == 0 {
			fn(body)
		}
		n++
		return err
	})
	return n, err
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// InboxRow is an event that a peer gave us and that waits for its room.
type InboxRow struct {
	NID, Room int64
	Origin    matrix.ServerName
	Event     matrix.EventID
	JSON      []byte
	TS        int64
	// Unchecked says that the keys of its signatures could not be asked for yet.
	Unchecked bool
}

var inboxTable = newTable("inbox", "nid:i room:i origin:t event:t json:b ts:i unchecked:i", 1, "ignore")

func (*InboxRow) table() *table { return inboxTable }
func (r *InboxRow) args(dst []any) []any {
	return append(dst, r.NID, r.Room, string(r.Origin), string(r.Event), r.JSON, r.TS, asInt(r.Unchecked))
}

// ListInbox lists what waits of one origin for one room, oldest first.
func (db *DB) ListInbox(ctx context.Context, room int64, origin matrix.ServerName, limit int) ([]InboxRow, error) {
	return db.listInbox(ctx, room, origin, limit, ``)
}

// ListUncheckedInbox lists what of it waits for keys.
func (db *DB) ListUncheckedInbox(ctx context.Context, room int64, origin matrix.ServerName, limit int) ([]InboxRow, error) {
	return db.listInbox(ctx, room, origin, limit, ` AND unchecked = 1`)
}

func (db *DB) listInbox(ctx context.Context, room int64, origin matrix.ServerName, limit int, which string) ([]InboxRow, error) {
	var out []InboxRow
	err := db.each(ctx, `SELECT nid, event, json, ts, unchecked FROM inbox WHERE room = $1 AND origin = $2`+which+` ORDER BY nid LIMIT $3`,
		[]any{room, string(origin), int64(limit)}, func(r *sql.Rows) error {
			row := InboxRow{Room: room, Origin: origin}
			var unchecked int64
			err := r.Scan(&row.NID, &row.Event, &row.JSON, &row.TS, &unchecked)
			row.Unchecked = unchecked != 0
			out = append(out, row)
			return err
		})
	return out, err
}

// InboxLane is what waits of one origin for one room.
type InboxLane struct {
	Room         int64
	Origin       matrix.ServerName
	Count, Bytes int64
}

// ListInboxLanes lists all that waits.
func (db *DB) ListInboxLanes(ctx context.Context) ([]InboxLane, error) {
	var out []InboxLane
	err := db.each(ctx, `SELECT room, origin, COUNT(*), COALESCE(SUM(LENGTH(json)), 0) FROM inbox GROUP BY room, origin`, nil,
		func(r *sql.Rows) error {
			var l InboxLane
			err := r.Scan(&l.Room, &l.Origin, &l.Count, &l.Bytes)
			out = append(out, l)
			return err
		})
	return out, err
}

// DeleteInbox takes one event out of the inbox.
func DeleteInbox(nid int64) Guard {
	return Guard{sql: `DELETE FROM inbox WHERE nid = $1`, args: []any{nid}, want: anyRows}
}

// OutsideRow is what a room showed of itself to a user of ours who is outside.
type OutsideRow struct {
	User, Room, Event int64
	Stripped          []byte // a JSON list
	Via               string // server names with spaces between them
}

var outsideTable = newTable("outside_rooms", "usr:i room:i event:i stripped:b via:t", 2, "update")

func (*OutsideRow) table() *table { return outsideTable }
func (r *OutsideRow) args(dst []any) []any {
	return append(dst, r.User, r.Room, r.Event, r.Stripped, r.Via)
}

// FindOutside reads what a room showed of itself to a user; ErrNotFound when it never did.
func (db *DB) FindOutside(ctx context.Context, user, room int64) (OutsideRow, error) {
	row := OutsideRow{User: user, Room: room}
	err := db.row(ctx, `SELECT event, stripped, via FROM outside_rooms WHERE usr = $1 AND room = $2`, []any{user, room},
		&row.Event, &row.Stripped, &row.Via)
	return row, err
}

// ListMemberIDs lists the user ids of a room's members in pieces, by number.
func (db *DB) ListMemberIDs(ctx context.Context, room, after int64, m Membership, limit int) (ids []matrix.UserID, last int64, err error) {
	err = db.each(ctx, `SELECT i.nid, i.user_id FROM memberships m JOIN user_ids i ON i.nid = m.usr
		WHERE m.room = $1 AND m.membership = $2 AND m.usr > $3 ORDER BY m.usr LIMIT $4`, []any{room, int64(m), after, int64(limit)},
		func(r *sql.Rows) error {
			var id matrix.UserID
			err := r.Scan(&last, &id)
			ids = append(ids, id)
			return err
		})
	return ids, last, err
}

// HasLocalMember reports whether an account of this installation is a member of a room.
func (db *DB) HasLocalMember(ctx context.Context, room int64) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM memberships m JOIN users u ON u.nid = m.usr
		WHERE m.room = $1 AND m.membership = $2 LIMIT 1) AS one`, []any{room, int64(MemberJoin)}, &n)
	return n > 0, err
}

// ListServerMembers lists users of one server who ever had a membership in a room, members first, of each kind the latest first.
func (db *DB) ListServerMembers(ctx context.Context, room int64, server matrix.ServerName, limit int) ([]matrix.UserID, []Membership, error) {
	var ids []matrix.UserID
	var how []Membership
	err := db.each(ctx, `SELECT i.user_id, m.membership FROM memberships m JOIN user_ids i ON i.nid = m.usr
		WHERE m.room = $1 AND i.user_id LIKE $2 ORDER BY m.membership, m.pos DESC, m.usr LIMIT $3`,
		[]any{room, "%:" + string(server), int64(limit)}, func(r *sql.Rows) error {
			var id matrix.UserID
			var m Membership
			err := r.Scan(&id, &m)
			if err == nil && id.Server() == server {
				ids, how = append(ids, id), append(how, m)
			}
			return err
		})
	return ids, how, err
}

// ListRoomsOfEvent lists the rooms that hold an event of this id.
func (db *DB) ListRoomsOfEvent(ctx context.Context, id matrix.EventID) ([]int64, error) {
	return db.numbers(ctx, `SELECT e.room FROM events e JOIN event_json j ON j.nid = e.nid WHERE e.id_hash = $1 AND j.id = $2`,
		matrix.HashID(id), string(id))
}

// KnownEvent is what is told of an event that a room has.
type KnownEvent struct {
	NID, StateKey int64
	Flags         EventFlag
}

// KnownEvents finds those of many events that a room has.
func (db *DB) KnownEvents(ctx context.Context, room int64, ids []matrix.EventID) (map[matrix.EventID]KnownEvent, error) {
	hashes := make([]int64, len(ids))
	asked := make(map[matrix.EventID]struct{}, len(ids))
	for i, id := range ids {
		hashes[i] = matrix.HashID(id)
		asked[id] = struct{}{}
	}
	known := map[matrix.EventID]KnownEvent{}
	err := db.eachIn(ctx, `SELECT j.id, e.room, e.nid, e.skey, e.flags FROM events e JOIN event_json j ON j.nid = e.nid WHERE e.id_hash IN`, hashes, ``,
		func(r *sql.Rows) error {
			var id matrix.EventID
			var in int64
			var k KnownEvent
			err := r.Scan(&id, &in, &k.NID, &k.StateKey, &k.Flags)
			if _, ok := asked[id]; ok && in == room {
				known[id] = k
			}
			return err
		})
	return known, err
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// RateOverrideRow sets a user's own rate limit. PerSecond 0: he has none.
type RateOverrideRow struct{ User, PerSecond, Burst int64 }

var rateOverridesTable = newTable("rate_overrides", "usr:i per_second:i burst:i", 1, "update")

func (*RateOverrideRow) table() *table { return rateOverridesTable }
func (r *RateOverrideRow) args(dst []any) []any {
	return append(dst, r.User, r.PerSecond, r.Burst)
}

// DeleteRateOverride lets the usual limits hold for a user.
func DeleteRateOverride(user int64) Guard {
	return Guard{sql: `DELETE FROM rate_overrides WHERE usr = $1`, args: []any{user}, want: anyRows}
}

// FindRateOverride is a user's own rate limit; ErrNotFound when he has none.
func (db *DB) FindRateOverride(ctx context.Context, user int64) (RateOverrideRow, error) {
	r := RateOverrideRow{User: user}
	err := db.row(ctx, `SELECT per_second, burst FROM rate_overrides WHERE usr = $1`, []any{user}, &r.PerSecond, &r.Burst)
	return r, err
}

// ListUsersWith lists the numbers of the accounts that have some flags.
func (db *DB) ListUsersWith(ctx context.Context, f UserFlag) ([]matrix.UserID, error) {
	return db.userIDs(ctx, `SELECT i.user_id FROM users u JOIN user_ids i ON i.nid = u.nid WHERE (u.flags & CAST($1 AS BIGINT)) = $1`, int64(f))
}

// KeyWindowRow lets a user replace his cross-signing keys until an instant without showing his password.
type KeyWindowRow struct{ User, Ends int64 }

var keyWindowsTable = newTable("key_windows", "usr:i ends:i", 1, "update")

func (*KeyWindowRow) table() *table { return keyWindowsTable }
func (r *KeyWindowRow) args(dst []any) []any {
	return append(dst, r.User, r.Ends)
}

// InKeyWindow reports whether a user may now replace his cross-signing keys without showing his password.
func (db *DB) InKeyWindow(ctx context.Context, user, now int64) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM key_windows WHERE usr = $1 AND ends > $2`, []any{user, now}, &n)
	return n > 0, err
}

// NoticeRoomRow says in which room the server speaks to a user.
type NoticeRoomRow struct{ User, Room int64 }

var noticeRoomsTable = newTable("notice_rooms", "usr:i room:i", 1, "update")

func (*NoticeRoomRow) table() *table { return noticeRoomsTable }
func (r *NoticeRoomRow) args(dst []any) []any {
	return append(dst, r.User, r.Room)
}

// FindNoticeRoom is the room in which the server speaks to a user; ErrNotFound when there is none yet.
func (db *DB) FindNoticeRoom(ctx context.Context, user int64) (room int64, err error) {
	err = db.row(ctx, `SELECT room FROM notice_rooms WHERE usr = $1`, []any{user}, &room)
	return room, err
}

// IsNoticeRoom reports whether the server speaks to a user in this room.
func (db *DB) IsNoticeRoom(ctx context.Context, user, room int64) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM notice_rooms WHERE usr = $1 AND room = $2`, []any{user, room}, &n)
	return n > 0, err
}

// BlockedRoom is a room that users of this installation may not enter.
type BlockedRoom struct {
	Room  matrix.RoomID
	Admin string
	TS    int64
}

// BlockedRoomRow blocks a room.
type BlockedRoomRow struct{ BlockedRoom }

var blockedRoomsTable = newTable("blocked_rooms", "room_id:t admin:t ts:i", 1, "update")

func (*BlockedRoomRow) table() *table { return blockedRoomsTable }
func (r *BlockedRoomRow) args(dst []any) []any {
	return append(dst, string(r.Room), r.Admin, r.TS)
}

// DeleteBlockedRoom opens a room again.
func DeleteBlockedRoom(room matrix.RoomID) Guard {
	return Guard{sql: `DELETE FROM blocked_rooms WHERE room_id = $1`, args: []any{string(room)}, want: anyRows}
}

// FindBlockedRoom reads who blocked a room; ErrNotFound when nobody did.
func (db *DB) FindBlockedRoom(ctx context.Context, room matrix.RoomID) (BlockedRoom, error) {
	b := BlockedRoom{Room: room}
	err := db.row(ctx, `SELECT admin, ts FROM blocked_rooms WHERE room_id = $1`, []any{string(room)}, &b.Admin, &b.TS)
	return b, err
}

// CountSentInvites counts the invitations that a user has sent since a time, over all rooms.
func (db *DB) CountSentInvites(ctx context.Context, user, since int64) (n int64, err error) {
	err = db.eachMemberEvent(ctx, user, since, func(room int64, body []byte) {
		if membershipIn(body) == "invite" {
			n++
		}
	})
	return n, err
}

// CountRoomsJoined counts the rooms that a user has joined since a time.
func (db *DB) CountRoomsJoined(ctx context.Context, user, since int64) (int64, error) {
	joined := map[int64]struct{}{}
	err := db.eachMemberEvent(ctx, user, since, func(room int64, body []byte) {
		if membershipIn(body) == "join" {
			joined[room] = struct{}{}
		}
	})
	return int64(len(joined)), err
}

// eachMemberEvent reads the membership events that a user has sent since a time.
func (db *DB) eachMemberEvent(ctx context.Context, user, since int64, fn func(room int64, body []byte)) error {
	return db.each(ctx, `SELECT e.room, j.json FROM events e JOIN state_keys k ON k.nid = e.skey JOIN event_json j ON j.nid = e.nid
		WHERE e.sender = $1 AND e.ts >= $2 AND e.skey <> 0 AND k.type = 'm.room.member'`, []any{user, since}, func(r *sql.Rows) error {
		var room int64
		var body []byte
		err := r.Scan(&room, &body)
		if err == nil {
			fn(room, body)
		}
		return err
	})
}

package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
)

// JoinedRoom is a room that a user is in, with the position of his membership.
type JoinedRoom struct{ Room, Pos int64 }

// ListJoinedPositions lists the rooms a user is in, by number, with the position of his membership.
func (db *DB) ListJoinedPositions(ctx context.Context, user int64) ([]JoinedRoom, error) {
	if rows, err := db.joinedByList(ctx, user); rows != nil || err != nil {
		return rows, err
	}
	// Why one text: see standingRows.
	var all sql.NullString
	err := db.row(ctx, `SELECT string_agg(CAST(room AS TEXT) || ' ' || CAST(pos AS TEXT) || ' ', '') FROM memberships
		WHERE usr = $1 AND membership = $2`, []any{user, int64(MemberJoin)}, &all)
	if err != nil {
		return nil, err
	}
	n := packedNumbers(all.String)
	out := make([]JoinedRoom, 0, len(n)/2)
	for ; len(n) >= 2; n = n[2:] {
		out = append(out, JoinedRoom{n[0], n[1]})
	}
	slices.SortFunc(out, func(a, b JoinedRoom) int { return cmp.Compare(a.Room, b.Room) })
	return out, nil
}

// RoomCounts is what a room's row says of its timeline.
type RoomCounts struct{ Notify, TNotify, LastPos int64 }

// GetRoomCounts reads the running counts of a room.
func (db *DB) GetRoomCounts(ctx context.Context, room int64) (RoomCounts, error) {
	var c RoomCounts
	err := db.row(ctx, `SELECT notify, tnotify, last_pos FROM rooms WHERE nid = $1`, []any{room}, &c.Notify, &c.TNotify, &c.LastPos)
	return c, err
}

// ListRoomCounts reads the running counts of some rooms.
func (db *DB) ListRoomCounts(ctx context.Context, rooms []int64) (map[int64]RoomCounts, error) {
	out := make(map[int64]RoomCounts, len(rooms))
	err := db.eachIn(ctx, `SELECT nid, notify, tnotify, last_pos FROM rooms WHERE nid IN`, rooms, ``, func(r *sql.Rows) error {
		var room int64
		var c RoomCounts
		err := r.Scan(&room, &c.Notify, &c.TNotify, &c.LastPos)
		out[room] = c
		return err
	})
	return out, err
}

// ListMovedRooms lists the rooms of a user in which events, receipts or the user's own data came in (after, upto].
func (db *DB) ListMovedRooms(ctx context.Context, user, after, upto int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT m.room FROM memberships m WHERE m.usr = $1 AND m.membership = $2 AND (
		EXISTS (SELECT 1 FROM events e WHERE e.room = m.room AND e.pos > $3 AND e.pos <= $4)
		OR EXISTS (SELECT 1 FROM receipts r WHERE r.room = m.room AND r.pos > $3 AND r.pos <= $4 AND r.pos > 0)
		OR EXISTS (SELECT 1 FROM state_rows s WHERE s.room = m.room AND s.branch = 0 AND s.pos > $3 AND s.pos <= $4))
		ORDER BY m.room`, user, int64(MemberJoin), after, upto)
}

// ListHeroes lists the first members of a room: who is in it or invited, or, when present is false, who is gone.
func (db *DB) ListHeroes(ctx context.Context, room int64, present bool, limit int) ([]int64, error) {
	first, second := MemberJoin, MemberInvite
	if !present {
		first, second = MemberLeave, MemberBan
	}
	return db.numbers(ctx, `SELECT usr FROM memberships WHERE room = $1 AND membership IN ($2, $3) ORDER BY pos, usr LIMIT $4`,
		room, int64(first), int64(second), int64(limit))
}

// ListJoinedUsers lists the users who are in a room.
func (db *DB) ListJoinedUsers(ctx context.Context, room int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT usr FROM memberships WHERE room = $1 AND membership = $2`, room, int64(MemberJoin))
}

// StreamPosition is the last position that any process has given out.
func (db *DB) StreamPosition(ctx context.Context) (int64, error) {
	var pos int64
	err := db.row(ctx, `SELECT pos FROM stream WHERE id = 1`, nil, &pos)
	return pos, err
}

// FindCountsAt is what the running counts of a room were at a position.
func (db *DB) FindCountsAt(ctx context.Context, room, pos int64) (RoomCounts, error) {
	var c RoomCounts
	err := db.row(ctx, `SELECT notify, tnotify, pos FROM events WHERE room = $1 AND pos <= $2 AND pos > 0 ORDER BY pos DESC LIMIT 1`,
		[]any{room, pos}, &c.Notify, &c.TNotify, &c.LastPos)
	if errors.Is(err, ErrNotFound) {
		return c, nil
	}
	return c, err
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

const membershipColumns = `usr, room, membership, event, pos, forgotten`

// scan reads membershipColumns.
func (r *MembershipRow) scan(rows *sql.Rows) error {
	var forgotten int64
	err := rows.Scan(&r.User, &r.Room, &r.Membership, &r.Event, &r.Pos, &forgotten)
	r.Forgotten = forgotten != 0
	return err
}

// FindMembership is how a user stands to a room, or ErrNotFound.
func (db *DB) FindMembership(ctx context.Context, user, room int64) (MembershipRow, error) {
	rows, err := db.listMemberships(ctx, `SELECT `+membershipColumns+` FROM memberships WHERE usr = $1 AND room = $2`, user, room)
	if err != nil {
		return MembershipRow{}, err
	}
	if len(rows) == 0 {
		return MembershipRow{}, ErrNotFound
	}
	return rows[0], nil
}

// ListMembershipsOf lists all rooms that a user ever had to do with.
func (db *DB) ListMembershipsOf(ctx context.Context, user int64) ([]MembershipRow, error) {
	return db.listMemberships(ctx, `SELECT `+membershipColumns+` FROM memberships WHERE usr = $1 ORDER BY room`, user)
}

// ListForgotten lists the rooms that a user has gone out of behind a position, and forgotten.
func (db *DB) ListForgotten(ctx context.Context, user, after int64) ([]MembershipRow, error) {
	return db.listMemberships(ctx, `SELECT `+membershipColumns+` FROM memberships WHERE usr = $1 AND pos > $2 AND forgotten <> 0 ORDER BY room`, user, after)
}

// ListMemberEvents lists the numbers of the events by which users stand in a room in a given way.
func (db *DB) ListMemberEvents(ctx context.Context, room int64, m Membership) ([]int64, error) {
	return db.numbers(ctx, `SELECT event FROM memberships WHERE room = $1 AND membership = $2`, room, int64(m))
}

func (db *DB) listMemberships(ctx context.Context, text string, args ...any) ([]MembershipRow, error) {
	var out []MembershipRow
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var m MembershipRow
		err := m.scan(r)
		out = append(out, m)
		return err
	})
	return out, err
}

// ListRoomIDsOf lists the rooms in which a user stands in a given way.
func (db *DB) ListRoomIDsOf(ctx context.Context, user int64, m Membership) ([]matrix.RoomID, error) {
	out := []matrix.RoomID{}
	err := db.each(ctx, `SELECT r.room_id FROM memberships m JOIN rooms r ON r.nid = m.room
		WHERE m.usr = $1 AND m.membership = $2 ORDER BY m.room`, []any{user, int64(m)}, func(r *sql.Rows) error {
		var id matrix.RoomID
		err := r.Scan(&id)
		out = append(out, id)
		return err
	})
	return out, err
}

// ForgetRoom is the guard that marks a room as forgotten by a user who is out of it.
func ForgetRoom(user, room int64) Guard {
	return Guard{sql: `UPDATE memberships SET forgotten = 1 WHERE usr = $1 AND room = $2 AND membership IN ($3, $4)`,
		args: []any{user, room, int64(MemberLeave), int64(MemberBan)}, want: 1}
}

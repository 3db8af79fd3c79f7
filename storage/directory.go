package storage

import (
	"context"
	"database/sql"
)

// SetPublic is the guard that publishes a room in the directory, or takes it out.
func SetPublic(room int64, public bool) Guard {
	return Guard{sql: `UPDATE rooms SET public = $2 WHERE nid = $1`, args: []any{room, asInt(public)}, want: 1}
}

// IsPublic reports whether a room is published in the directory.
func (db *DB) IsPublic(ctx context.Context, room int64) (bool, error) {
	var public int64
	err := db.row(ctx, `SELECT public FROM rooms WHERE nid = $1`, []any{room}, &public)
	return public != 0, err
}

// PublicRoom is a published room and how many have joined it.
type PublicRoom struct{ Room, Joined int64 }

// ListPublicRooms lists published rooms, most members first, then by number.
func (db *DB) ListPublicRooms(ctx context.Context) ([]PublicRoom, error) {
	var out []PublicRoom
	err := db.each(ctx, `SELECT r.nid, (SELECT COUNT(*) FROM memberships m WHERE m.room = r.nid AND m.membership = $1) AS joined
		FROM rooms r WHERE r.public <> 0 ORDER BY joined DESC, r.nid`, []any{int64(MemberJoin)}, func(r *sql.Rows) error {
		var p PublicRoom
		err := r.Scan(&p.Room, &p.Joined)
		out = append(out, p)
		return err
	})
	return out, err
}

// CountMembers counts the users who stand in a room in a given way.
func (db *DB) CountMembers(ctx context.Context, room int64, m Membership) (int64, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM memberships WHERE room = $1 AND membership = $2`, []any{room, int64(m)}, &n)
	return n, err
}

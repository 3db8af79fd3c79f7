package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
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

// DirectoryRoom is a room of a directory and the version of its row: whatever enters the room's graph moves that.
type DirectoryRoom struct {
	NID, Version int64
	ID           matrix.RoomID
}

// ListPublicRooms lists published rooms by number.
func (db *DB) ListPublicRooms(ctx context.Context) ([]DirectoryRoom, error) {
	return db.directoryRooms(ctx, `SELECT nid, version, room_id FROM rooms WHERE public <> 0 ORDER BY nid`)
}

// ListNetworkRooms lists the rooms of a third-party network ("" all of them) by number.
func (db *DB) ListNetworkRooms(ctx context.Context, instance string) ([]DirectoryRoom, error) {
	return db.directoryRooms(ctx, `SELECT nid, version, room_id FROM rooms
		WHERE nid IN (SELECT room FROM network_rooms WHERE instance = $1 OR $1 = '') ORDER BY nid`, instance)
}

func (db *DB) directoryRooms(ctx context.Context, text string, args ...any) (out []DirectoryRoom, err error) {
	err = db.each(ctx, text, args, func(r *sql.Rows) error {
		var room DirectoryRoom
		err := r.Scan(&room.NID, &room.Version, &room.ID)
		out = append(out, room)
		return err
	})
	return out, err
}

// RoomSizes are how many are in a room, and how many are invited.
type RoomSizes struct{ Joined, Invited int64 }

// CountMembersIn counts the members of some rooms, and who is invited; those without any are left out.
func (db *DB) CountMembersIn(ctx context.Context, rooms []int64) (map[int64]RoomSizes, error) {
	out := make(map[int64]RoomSizes, len(rooms))
	err := db.eachIn(ctx, `SELECT room, membership, COUNT(*) FROM memberships WHERE membership IN ($1, $2) AND room IN`, rooms,
		` GROUP BY room, membership`, func(r *sql.Rows) error {
			var room, membership, n int64
			err := r.Scan(&room, &membership, &n)
			c := out[room]
			if Membership(membership) == MemberJoin {
				c.Joined = n
			} else {
				c.Invited = n
			}
			out[room] = c
			return err
		}, int64(MemberJoin), int64(MemberInvite))
	return out, err
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// ListLocalMembers lists accounts of this installation that stand in a room in a given way.
func (db *DB) ListLocalMembers(ctx context.Context, room int64, m Membership) ([]matrix.UserID, error) {
	return db.userIDs(ctx, `SELECT i.user_id FROM memberships m JOIN users u ON u.nid = m.usr JOIN user_ids i ON i.nid = m.usr
		WHERE m.room = $1 AND m.membership = $2 ORDER BY m.usr`, room, int64(m))
}

// ListLastLeft lists accounts of this installation that have left a room, the last to leave first.
func (db *DB) ListLastLeft(ctx context.Context, room int64, limit int) ([]matrix.UserID, error) {
	return db.userIDs(ctx, `SELECT i.user_id FROM memberships m JOIN users u ON u.nid = m.usr JOIN user_ids i ON i.nid = m.usr
		WHERE m.room = $1 AND m.membership = $2 ORDER BY m.pos DESC LIMIT $3`, room, int64(MemberLeave), int64(limit))
}

func (db *DB) userIDs(ctx context.Context, text string, args ...any) ([]matrix.UserID, error) {
	var out []matrix.UserID
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var id matrix.UserID
		err := r.Scan(&id)
		out = append(out, id)
		return err
	})
	return out, err
}

// FindRoomsOfLocals finds out which of some rooms an account of this installation is in.
func (db *DB) FindRoomsOfLocals(ctx context.Context, rooms []int64) (map[int64]bool, error) {
	out := make(map[int64]bool, len(rooms))
	err := db.eachIn(ctx, `SELECT r.nid FROM rooms r WHERE EXISTS (SELECT 1 FROM memberships m JOIN users u ON u.nid = m.usr
		WHERE m.room = r.nid AND m.membership = $1) AND r.nid IN`, rooms, ``, func(r *sql.Rows) error {
		var room int64
		err := r.Scan(&room)
		out[room] = true
		return err
	}, int64(MemberJoin))
	return out, err
}

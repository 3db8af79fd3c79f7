package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// ListLocalMembers lists accounts of this installation that stand in a room in a given way.
func (db *DB) ListLocalMembers(ctx context.Context, room int64, m Membership) ([]matrix.UserID, error) {
	var out []matrix.UserID
	err := db.each(ctx, `SELECT i.user_id FROM memberships m JOIN users u ON u.nid = m.usr JOIN user_ids i ON i.nid = m.usr
		WHERE m.room = $1 AND m.membership = $2 ORDER BY m.usr`, []any{room, int64(m)}, func(r *sql.Rows) error {
		var id matrix.UserID
		err := r.Scan(&id)
		out = append(out, id)
		return err
	})
	return out, err
}

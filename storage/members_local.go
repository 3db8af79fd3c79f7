package storage

import (
	"context"
	"database/sql"
	"errors"

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

// StateSeqAt is the head that the room's main branch had at a stream position.
func (db *DB) StateSeqAt(ctx context.Context, room, pos int64) (int64, error) {
	var seq int64
	err := db.row(ctx, `SELECT COALESCE((SELECT seq FROM state_rows WHERE room = $1 AND branch = 0 AND pos <= $2
		ORDER BY pos DESC LIMIT 1), 0)`, []any{room, pos}, &seq)
	return seq, err
}

// LastOfStateSeq is the last position in [pos, upto] at which a version of a room's current state has changes, when they begin there;
// 0 for none. Changes of one version follow one another in the stream.
func (db *DB) LastOfStateSeq(ctx context.Context, room, seq, pos, upto int64) (int64, error) {
	var last int64
	err := db.each(ctx, `SELECT pos, seq FROM state_rows WHERE room = $1 AND branch = 0 AND pos >= $2 AND pos <= $3 ORDER BY pos`,
		[]any{room, pos, upto}, func(r *sql.Rows) error {
			var at, of int64
			if err := r.Scan(&at, &of); err != nil {
				return err
			}
			if of != seq {
				return errRunEnds
			}
			last = at
			return nil
		})
	if errors.Is(err, errRunEnds) {
		err = nil
	}
	return last, err
}

var errRunEnds = errors.New("the changes of another version begin")

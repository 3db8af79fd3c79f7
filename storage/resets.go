package storage

import (
	"context"
	"database/sql"
)

// ResetRow says that resolution put a piece of current state back.
type ResetRow struct {
	At
	Room, StateKey int64
	// Event is whose arrival brought it about, Was what the key was set to before and Now what it is set to since, 0 for nothing.
	Event, Was, Now int64
	TS              int64
}

var resetsTable = newTable("state_resets", "room:i pos:i state_key:i event:i was:i now:i ts:i", 3, "ignore")

func (*ResetRow) table() *table { return resetsTable }
func (r *ResetRow) args(dst []any) []any {
	return append(dst, r.Room, r.Pos, r.StateKey, r.Event, r.Was, r.Now, r.TS)
}

// ListResets lists what was put back in a room, the newest first.
func (db *DB) ListResets(ctx context.Context, room int64, limit int) ([]ResetRow, error) {
	var out []ResetRow
	err := db.each(ctx, `SELECT pos, state_key, event, was, now, ts FROM state_resets WHERE room = $1 ORDER BY pos DESC, state_key LIMIT $2`,
		[]any{room, int64(limit)}, func(r *sql.Rows) error {
			s := ResetRow{Room: room}
			err := r.Scan(&s.Pos, &s.StateKey, &s.Event, &s.Was, &s.Now, &s.TS)
			out = append(out, s)
			return err
		})
	return out, err
}

// DeleteResets forgets what was put back in a room.
func DeleteResets(room int64) Guard {
	return Guard{sql: `DELETE FROM state_resets WHERE room = $1`, args: []any{room}, want: anyRows}
}

// CountBranches counts the branches of a room's state: how often it forked in ways that matter.
func (db *DB) CountBranches(ctx context.Context, room int64) (int64, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM branches WHERE room = $1`, []any{room}, &n)
	return n, err
}

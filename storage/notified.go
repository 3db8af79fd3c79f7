package storage

import (
	"context"
	"database/sql"
)

// Notified is an event of which a user was told.
type Notified struct {
	Event, Room, Pos, Thread int64
	Highlight                bool
}

// ListNotified lists the newest limit events of a room in (after, before) that notify a user, or only those that highlight.
func (db *DB) ListNotified(ctx context.Context, user, room, after, before int64, highlights bool, limit int) ([]Notified, error) {
	var out []Notified
	err := db.each(ctx, `SELECT nid, pos, thread, high FROM (SELECT e.nid, e.pos, e.thread,
			CASE WHEN (e.flags & $6) <> 0 THEN 1 ELSE 0 END + COALESCE(own.notify, 0) AS told,
			COALESCE(own.highlight, 0) + COALESCE(everyone.highlight, 0) AS high
		FROM events e LEFT JOIN push_hits own ON own.usr = $1 AND own.room = e.room AND own.pos = e.pos
			LEFT JOIN push_hits everyone ON everyone.usr = 0 AND everyone.room = e.room AND everyone.pos = e.pos
		WHERE e.room = $2 AND e.pos > $3 AND e.pos < $4 AND e.sender <> $1) x
		WHERE told > 0 AND high >= $5 ORDER BY pos DESC LIMIT $7`,
		[]any{user, room, after, before, asInt(highlights), int64(FlagNotify), int64(limit)}, func(r *sql.Rows) error {
			n := Notified{Room: room}
			var high int64
			err := r.Scan(&n.Event, &n.Pos, &n.Thread, &high)
			n.Highlight = high > 0
			out = append(out, n)
			return err
		})
	return out, err
}

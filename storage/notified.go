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

// NotifyingRoom is a room in which a user may have been told of something: From is where he joined, Last where its last event
// before the place that was asked for stands.
type NotifyingRoom struct{ Room, From, Last int64 }

// ListNotifyingRooms lists the rooms that a user is in with their last events before a position, the latest first; with highlights
// only those in which anything ever highlighted for him or for everybody.
func (db *DB) ListNotifyingRooms(ctx context.Context, user, before int64, highlights bool) ([]NotifyingRoom, error) {
	text := `SELECT m.room, m.pos, CASE WHEN r.last_pos < $2 THEN r.last_pos ELSE COALESCE((SELECT MAX(e.pos) FROM events e
			WHERE e.room = m.room AND e.pos < $2), 0) END AS last
		FROM memberships m JOIN rooms r ON r.nid = m.room WHERE m.usr = $1 AND m.membership = $3`
	if highlights {
		text += ` AND (EXISTS (SELECT 1 FROM push_hits h WHERE h.usr = $1 AND h.room = m.room AND h.highlight > 0)
			OR EXISTS (SELECT 1 FROM push_hits h WHERE h.usr = 0 AND h.room = m.room AND h.highlight > 0))`
	}
	var out []NotifyingRoom
	err := db.each(ctx, text+` ORDER BY last DESC`, []any{user, before, int64(MemberJoin)}, func(r *sql.Rows) error {
		var n NotifyingRoom
		err := r.Scan(&n.Room, &n.From, &n.Last)
		out = append(out, n)
		return err
	})
	return out, err
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

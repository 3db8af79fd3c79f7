package storage

import (
	"context"
	"database/sql"
)

// StickyRow says until when an event of the same Change sticks.
type StickyRow struct {
	// Event is the event's row.
	Event   *EventRow
	Expires int64 // milliseconds
}

var stickyTable = newTable("sticky_events", "room:i pos:i event:i expires:i", 2, "ignore")

func (*StickyRow) table() *table { return stickyTable }
func (r *StickyRow) args(dst []any) []any {
	return append(dst, r.Event.Room, r.Event.Pos, r.Event.NID, r.Expires)
}

// Sticky is a sticky event as it is read.
type Sticky struct{ Event, Pos, Expires int64 }

// ListSticky lists the newest limit events of a room in (after, upto] that stick at an instant, oldest first.
func (db *DB) ListSticky(ctx context.Context, room, after, upto, now int64, limit int) ([]Sticky, error) {
	return db.listSticky(ctx, `SELECT event, pos, expires FROM (SELECT event, expires, pos FROM sticky_events WHERE room = $1 AND pos > $2 AND pos <= $3
		AND expires > $4 ORDER BY pos DESC LIMIT $5) x ORDER BY pos`, room, after, upto, now, int64(limit))
}

// listSticky reads rows of event, position and end.
func (db *DB) listSticky(ctx context.Context, query string, args ...any) (out []Sticky, err error) {
	err = db.each(ctx, query, args, func(r *sql.Rows) error {
		var s Sticky
		err := r.Scan(&s.Event, &s.Pos, &s.Expires)
		out = append(out, s)
		return err
	})
	return out, err
}

// EachStickyRoom calls fn with each room that has sticky events at an instant, and when the last of them ends.
func (db *DB) EachStickyRoom(ctx context.Context, now int64, fn func(room, expires int64)) error {
	return db.eachRoomUntil(ctx, `SELECT room, MAX(expires) FROM sticky_events WHERE expires > $1 GROUP BY room`, now, fn)
}

// eachRoomUntil reads rows of a room and an instant.
func (db *DB) eachRoomUntil(ctx context.Context, query string, now int64, fn func(room, until int64)) error {
	return db.each(ctx, query, []any{now}, func(r *sql.Rows) error {
		var room, until int64
		err := r.Scan(&room, &until)
		fn(room, until)
		return err
	})
}

// PruneSticky forgets which events stuck, in bites, or might have, until an instant.
func (db *DB) PruneSticky(ctx context.Context, now int64) error {
	if err := db.eatAll(ctx, now, bite{table: "sticky_events", column: "expires"}); err != nil {
		return err
	}
	c := &Change{}
	c.Guard(Guard{sql: `DELETE FROM sticky_waiting WHERE expires <= $1`, args: []any{now}, want: anyRows})
	return db.Commit(ctx, c)
}

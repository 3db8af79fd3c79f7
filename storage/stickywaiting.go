package storage

import "context"

// StickyWaitingRow says that a soft-failed event of the same Change may be judged again while it sticks.
type StickyWaitingRow struct {
	// Event is the event's row.
	Event   *EventRow
	Expires int64 // milliseconds
}

var stickyWaitingTable = newTable("sticky_waiting", "room:i sender:i event:i expires:i", 3, "ignore")

func (*StickyWaitingRow) table() *table { return stickyWaitingTable }
func (r *StickyWaitingRow) args(dst []any) []any {
	return append(dst, r.Event.Room, r.Event.Sender, r.Event.NID, r.Expires)
}

// ListStickyWaiting lists the events of a user that wait in a room at an instant, the oldest limit of them; they have no position.
func (db *DB) ListStickyWaiting(ctx context.Context, room, sender, now int64, limit int) ([]Sticky, error) {
	return db.listSticky(ctx, `SELECT event, 0, expires FROM sticky_waiting WHERE room = $1 AND sender = $2 AND expires > $3 ORDER BY event LIMIT $4`,
		room, sender, now, int64(limit))
}

// EachStickyWaitingRoom calls fn with each room in which events wait at an instant, and until when the last of them does.
func (db *DB) EachStickyWaitingRoom(ctx context.Context, now int64, fn func(room, expires int64)) error {
	return db.eachRoomUntil(ctx, `SELECT room, MAX(expires) FROM sticky_waiting WHERE expires > $1 GROUP BY room`, now, fn)
}

// ReplaceSoftFailed are the guards that make room for the row of an event which was soft-failed, and waits no more.
func ReplaceSoftFailed(nid int64) []Guard {
	return []Guard{
		{sql: `DELETE FROM events WHERE nid = $1 AND (flags & $2) <> 0`, args: []any{nid, int64(FlagSoftFailed)}, want: 1, fail: ErrStale},
		{sql: `DELETE FROM sticky_waiting WHERE event = $1`, args: []any{nid}, want: anyRows},
	}
}

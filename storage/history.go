package storage

import "context"

// hiddenFlags mark events that no client is ever shown in a timeline.
const hiddenFlags = int64(FlagRejected | FlagSoftFailed | FlagOutlier | FlagNoState)

// ListLiveBefore lists events of a room with position ≤ pos, newest first.
func (db *DB) ListLiveBefore(ctx context.Context, room, pos int64, limit int) ([]int64, error) {
	return db.numbers(ctx, `SELECT nid FROM events WHERE room = $1 AND pos > 0 AND pos <= $2 ORDER BY pos DESC LIMIT $3`,
		room, pos, int64(limit))
}

// ListLiveAfter lists events of a room with after < position ≤ upto, oldest first.
func (db *DB) ListLiveAfter(ctx context.Context, room, after, upto int64, limit int) ([]int64, error) {
	return db.numbers(ctx, `SELECT nid FROM events WHERE room = $1 AND pos > $2 AND pos <= $3 ORDER BY pos LIMIT $4`,
		room, max(after, 0), upto, int64(limit))
}

// ListHistoryBefore lists events from before our stream that stand at or before (depth, nid) in room order, newest first.
func (db *DB) ListHistoryBefore(ctx context.Context, room, depth, nid int64, limit int) ([]int64, error) {
	return db.numbers(ctx, `SELECT nid FROM events WHERE room = $1 AND pos = 0 AND (depth, nid) <= ($2, $3)
		AND (flags & $4) = 0 ORDER BY depth DESC, nid DESC LIMIT $5`, room, depth, nid, hiddenFlags, int64(limit))
}

// ListHistoryAfter lists events from before our stream that stand behind (depth, nid) in room order, oldest first.
func (db *DB) ListHistoryAfter(ctx context.Context, room, depth, nid int64, limit int) ([]int64, error) {
	return db.numbers(ctx, `SELECT nid FROM events WHERE room = $1 AND pos = 0 AND (depth, nid) > ($2, $3)
		AND (flags & $4) = 0 ORDER BY depth, nid LIMIT $5`, room, depth, nid, hiddenFlags, int64(limit))
}

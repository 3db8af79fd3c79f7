package storage

import (
	"context"
	"errors"
)

// FindPositionByTime is about the position at which a room's events reach a time (in milliseconds): events behind it
// are that young or younger, save for those whose clocks went wrong. It halves the span of positions, since arrival and time
// go nearly together and an index over time would cost every event something.
func (db *DB) FindPositionByTime(ctx context.Context, room, ts int64) (int64, error) {
	first, last := int64(0), db.Position()+1
	for first < last {
		middle := first + (last-first)/2
		var pos, at int64
		err := db.row(ctx, `SELECT pos, ts FROM events WHERE room = $1 AND pos > $2 ORDER BY pos LIMIT 1`, []any{room, middle}, &pos, &at)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return 0, err
		}
		if err == nil && at < ts {
			first = pos
		} else {
			last = middle
		}
	}
	return first, nil
}

// FindDepthByTime is about the depth before which a room's events from before our stream are older than a time.
func (db *DB) FindDepthByTime(ctx context.Context, room, ts int64) (int64, error) {
	var last int64
	err := db.row(ctx, `SELECT depth FROM events WHERE room = $1 AND pos = 0 AND (flags & $2) = 0 ORDER BY depth DESC, nid DESC LIMIT 1`,
		[]any{room, hiddenFlags}, &last)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	first := int64(0)
	for last++; first < last; {
		middle := first + (last-first)/2
		var depth, at int64
		err := db.row(ctx, `SELECT depth, ts FROM events WHERE room = $1 AND pos = 0 AND depth > $2 AND (flags & $3) = 0
			ORDER BY depth, nid LIMIT 1`, []any{room, middle, hiddenFlags}, &depth, &at)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return 0, err
		}
		if err == nil && at < ts {
			first = depth
		} else {
			last = middle
		}
	}
	return first, nil
}

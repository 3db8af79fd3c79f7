package storage

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"

	"rempart/internal/matrix"
)

// RoomHolding is a room with the event that holds a piece of its current state; Event 0: none does.
type RoomHolding struct{ Room, Event int64 }

// ListRoomsHolding lists rooms behind a number with what holds a piece of their state.
func (db *DB) ListRoomsHolding(ctx context.Context, t matrix.StateTuple, after int64, limit int) ([]RoomHolding, error) {
	key, err := db.FindStateKeyNID(ctx, t)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	var out []RoomHolding
	err = db.each(ctx, `SELECT r.nid, COALESCE((SELECT s.event FROM state_rows s WHERE s.room = r.nid AND s.branch = 0 AND s.skey = $1
		ORDER BY s.seq DESC LIMIT 1), 0) FROM rooms r WHERE r.nid > $2 ORDER BY r.nid LIMIT $3`,
		[]any{key, after, int64(limit)}, func(r *sql.Rows) error {
			var w RoomHolding
			err := r.Scan(&w.Room, &w.Event)
			out = append(out, w)
			return err
		})
	return out, err
}

// Expiry says which messages of a room are deleted: those from before a time, in milliseconds, that stand in the stream up to a position or in
// history, except those to keep.
type Expiry struct {
	Room, Upto, Before int64
	Keep               []int64
}

// ExpireMessages deletes them with all that hangs on them, in pieces; done is told the numbers of each piece. It returns how many went.
func (db *DB) ExpireMessages(ctx context.Context, x Expiry, done func(nids []int64)) (total int, err error) {
	for _, list := range []func(context.Context, *Expiry, *place) ([]int64, error){db.expiredLive, db.expiredHistory} {
		for at := (place{}); ; {
			found, err := list(ctx, &x, &at)
			if err != nil {
				return total, err
			}
			if len(found) == 0 {
				break
			}
			nids := slices.DeleteFunc(found, func(n int64) bool { return slices.Contains(x.Keep, n) })
			if len(nids) == 0 {
				continue
			}
			if err := db.Commit(ctx, db.deleteEvents(nids)); err != nil {
				return total, err
			}
			done(nids)
			total += len(nids)
		}
	}
	return total, nil
}

// place is how far a walk through a room's messages has come.
type place struct{ pos, depth, nid int64 }

func (db *DB) expiredLive(ctx context.Context, x *Expiry, at *place) (nids []int64, err error) {
	err = db.each(ctx, `SELECT nid, pos FROM events WHERE room = $1 AND pos > $2 AND pos <= $3 AND skey = 0 AND ts < $4 ORDER BY pos LIMIT $5`,
		[]any{x.Room, at.pos, x.Upto, x.Before, int64(purgeStep)}, func(r *sql.Rows) error {
			err := r.Scan(&at.nid, &at.pos)
			nids = append(nids, at.nid)
			return err
		})
	return nids, err
}

func (db *DB) expiredHistory(ctx context.Context, x *Expiry, at *place) (nids []int64, err error) {
	if *at == (place{}) {
		at.depth = math.MinInt64
	}
	err = db.each(ctx, `SELECT nid, depth FROM events WHERE room = $1 AND pos = 0 AND (depth, nid) > ($2, $3) AND skey = 0 AND ts < $4
		ORDER BY depth, nid LIMIT $5`, []any{x.Room, at.depth, at.nid, x.Before, int64(purgeStep)}, func(r *sql.Rows) error {
		err := r.Scan(&at.nid, &at.depth)
		nids = append(nids, at.nid)
		return err
	})
	return nids, err
}

// FindFirstSince is the position of a room's first event that is not from before a time; 0 when there is none.
func (db *DB) FindFirstSince(ctx context.Context, room, ts int64) (pos int64, err error) {
	err = db.row(ctx, `SELECT pos FROM events WHERE room = $1 AND pos > 0 AND ts >= $2 ORDER BY pos LIMIT 1`, []any{room, ts}, &pos)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return pos, err
}

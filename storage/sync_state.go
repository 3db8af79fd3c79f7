package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
)

// StateChange is one key of a room's current state that took another value between two positions.
type StateChange struct {
	StateKey int64
	// Old and New are the events before and after, 0 for none.
	Old, New int64
}

// ListStateChanges lists the keys of a room's current state that changed in (after, upto], each once.
func (db *DB) ListStateChanges(ctx context.Context, room, after, upto int64) ([]StateChange, error) {
	var out []StateChange
	at := map[int64]int{}
	err := db.each(ctx, `SELECT skey, event, old FROM state_rows WHERE room = $1 AND branch = 0 AND pos > $2 AND pos <= $3
		ORDER BY pos, seq`, []any{room, after, upto}, func(r *sql.Rows) error {
		var c StateChange
		if err := r.Scan(&c.StateKey, &c.New, &c.Old); err != nil {
			return err
		}
		if i, seen := at[c.StateKey]; seen {
			out[i].New = c.New
			return nil
		}
		at[c.StateKey] = len(out)
		out = append(out, c)
		return nil
	})
	return out, err
}

// FindStateEvent is the event that held a key of a room's current state at a position; 0 when none did.
func (db *DB) FindStateEvent(ctx context.Context, room, key, pos int64) (int64, error) {
	var event int64
	err := db.row(ctx, `SELECT event FROM state_rows WHERE room = $1 AND branch = 0 AND skey = $2 AND pos <= $3
		ORDER BY seq DESC LIMIT 1`, []any{room, key, pos}, &event)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return event, err
}

// ListStateEventsSince lists the events that held a key of a room's current state in (after, upto], in order; 0 where
// the key was removed.
func (db *DB) ListStateEventsSince(ctx context.Context, room, key, after, upto int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT event FROM state_rows WHERE room = $1 AND branch = 0 AND skey = $2 AND pos > $3 AND pos <= $4
		ORDER BY seq`, room, key, after, upto)
}

// TimelineEntry is an event of a room's timeline by number and position.
type TimelineEntry struct{ NID, Pos int64 }

// ListTimeline lists what clients may be shown of a room's events in (after, upto], newest first.
func (db *DB) ListTimeline(ctx context.Context, room, after, upto int64, limit int) ([]TimelineEntry, error) {
	var out []TimelineEntry
	err := db.each(ctx, `SELECT nid, pos FROM events WHERE room = $1 AND pos > $2 AND pos <= $3 AND (flags & $4) = 0
		ORDER BY pos DESC LIMIT $5`, []any{room, max(after, 0), upto, hiddenFlags, int64(limit)}, func(r *sql.Rows) error {
		var e TimelineEntry
		err := r.Scan(&e.NID, &e.Pos)
		out = append(out, e)
		return err
	})
	return out, err
}

// ListTimelines lists for each of some rooms the newest events that clients may be shown, up to a position each.
func (db *DB) ListTimelines(ctx context.Context, list []RoomFrom, limit int) (map[int64][]TimelineEntry, error) {
	out := make(map[int64][]TimelineEntry, len(list))
	// Why one text a room: it is the one form of "the newest of each" that both engines know and read by the index.
	err := db.eachFrom(ctx, list, `SELECT w.room, (SELECT string_agg(CAST(t.nid AS TEXT) || ' ' || CAST(t.pos AS TEXT) || ' ', '') FROM (
		SELECT e.nid, e.pos FROM events e WHERE e.room = w.room AND e.pos > 0 AND e.pos <= w.place AND (e.flags & $1) = 0
		ORDER BY e.pos DESC LIMIT $2) t) FROM w`, []any{hiddenFlags, int64(limit)}, func(r *sql.Rows) error {
		var room int64
		var all sql.NullString
		err := r.Scan(&room, &all)
		for n := packedNumbers(all.String); len(n) >= 2; n = n[2:] {
			out[room] = append(out[room], TimelineEntry{n[0], n[1]})
		}
		slices.SortFunc(out[room], func(a, b TimelineEntry) int { return cmp.Compare(b.Pos, a.Pos) })
		return err
	})
	return out, err
}

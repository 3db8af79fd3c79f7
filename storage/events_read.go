package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// EventRecord is an event as it is stored.
type EventRecord struct {
	EventRow
	EventJSONRow
}

const eventColumns = `e.nid, e.room, e.pos, e.id_hash, e.sender, e.skey, e.branch, e.seq, e.depth, e.ts, e.flags, e.notify,
	e.tnotify, e.thread, e.chain, e.chain_seq, e.prev, e.auth, j.id, j.json, j.redacted, j.redacted_by`

const eventJoin = ` FROM events e JOIN event_json j ON j.nid = e.nid `

func (r *EventRecord) scan(rows *sql.Rows) error {
	var prev, auth []byte
	e, j := &r.EventRow, &r.EventJSONRow
	err := rows.Scan(&e.NID, &e.Room, &e.Pos, &e.IDHash, &e.Sender, &e.StateKey, &e.Branch, &e.Seq, &e.Depth, &e.TS, &e.Flags,
		&e.Notify, &e.TNotify, &e.Thread, &e.Chain, &e.ChainSeq, &prev, &auth, &j.ID, &j.JSON, &j.Redacted, &j.RedactedBy)
	e.Prev, e.Auth, j.NID = decodeNIDs(prev), decodeNIDs(auth), e.NID
	return err
}

// EachEvent reads events by number, in no particular order; those that do not exist are passed over.
func (db *DB) EachEvent(ctx context.Context, nids []int64, fn func(*EventRecord) error) error {
	scan := func(rows *sql.Rows) error {
		r := &EventRecord{}
		if err := r.scan(rows); err != nil {
			return err
		}
		return fn(r)
	}
	if len(nids) == 1 {
		return db.each(ctx, `SELECT `+eventColumns+eventJoin+`WHERE e.nid = $1`, []any{nids[0]}, scan)
	}
	return db.eachIn(ctx, `SELECT `+eventColumns+eventJoin+`WHERE e.nid IN`, nids, ``, scan)
}

// EventName is an event's id and what it rests on, without its content.
type EventName struct {
	NID  int64
	ID   matrix.EventID
	Auth []int64
}

// EachEventName reads the names of events by number, in no particular order; those that do not exist are passed over.
func (db *DB) EachEventName(ctx context.Context, nids []int64, fn func(EventName)) error {
	return db.eachIn(ctx, `SELECT e.nid, j.id, e.auth FROM events e JOIN event_json j ON j.nid = e.nid WHERE e.nid IN`, nids, ``,
		func(rows *sql.Rows) error {
			var n EventName
			var auth []byte
			err := rows.Scan(&n.NID, &n.ID, &auth)
			n.Auth = decodeNIDs(auth)
			fn(n)
			return err
		})
}

// FindEvent reads an event of a room by its id; ErrNotFound when it is not known.
func (db *DB) FindEvent(ctx context.Context, room int64, id matrix.EventID) (*EventRecord, error) {
	var found *EventRecord
	err := db.each(ctx, `SELECT `+eventColumns+eventJoin+`WHERE e.id_hash = $1`, []any{matrix.HashID(id)}, func(rows *sql.Rows) error {
		r := &EventRecord{}
		if err := r.scan(rows); err != nil {
			return err
		}
		if r.ID == id && r.EventRow.Room == room {
			found = r
		}
		return nil
	})
	if err == nil && found == nil {
		err = ErrNotFound
	}
	return found, err
}

// RedactEvent is the guard that gives an event its redacted form; the first redaction stands.
func RedactEvent(nid int64, redacted []byte, by int64) []Guard {
	return []Guard{
		{sql: `UPDATE event_json SET redacted = $2, redacted_by = $3 WHERE nid = $1 AND redacted_by = 0`,
			args: []any{nid, redacted, by}, want: anyRows},
		dropSearch(nid),
		{sql: `UPDATE events SET flags = flags | $2 WHERE nid = $1`, args: []any{nid, int64(FlagRedacted)}, want: anyRows},
	}
}

// ReplaceOutlier is the guard that makes room for the row of an event which was known without its place.
func ReplaceOutlier(nid int64) Guard {
	return Guard{sql: `DELETE FROM events WHERE nid = $1 AND (flags & $2) <> 0`, args: []any{nid, int64(FlagOutlier)}, want: 1,
		fail: ErrStale}
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Delayed is an event that is to be sent later.
type Delayed struct {
	NID        int64
	ID         string // what it is managed by
	User, Room int64
	Type       string
	StateKey   *string
	Content    []byte
	Sticky     int64 // milliseconds; 0: it does not stick
	Delay      int64 // milliseconds
	Scheduled  int64 // when it was asked for or last restarted
	Due        int64
	Since      int64 // position of the stream when it was asked for
	Lease      int64 // until then a node is sending it
	Finalised  int64 // 0 while it waits
	Error      []byte
	Event      matrix.EventID // once it is sent
	// Txn is the client's transaction id; its Event is not used.
	Txn *TransactionRow
}

// DelayedRow adds an event that is to be sent later. The transaction id being taken fails the Change.
type DelayedRow struct{ Delayed }

var delayedTable = newTable("delayed_events", `nid:i id:t usr:i room:i type:t skeyed:i skey:t content:b sticky:i delay:i scheduled:i
	due:i since:i lease:i finalised:i error:b device:i endpoint:i txn:t`, 1, "")

func (*DelayedRow) table() *table { return delayedTable }

func (r *DelayedRow) args(dst []any) []any {
	key, txn := "", TransactionRow{}
	if r.StateKey != nil {
		key = *r.StateKey
	}
	if r.Txn != nil {
		txn = *r.Txn
	}
	return append(dst, r.NID, r.ID, r.User, r.Room, r.Type, asInt(r.StateKey != nil), key, r.Content, r.Sticky, r.Delay, r.Scheduled,
		r.Due, r.Since, r.Lease, r.Finalised, notNull(r.Error), txn.Device, txn.Endpoint, txn.TxnID)
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// DelayedSentRow says which event a delayed one became.
type DelayedSentRow struct {
	Delayed, Event int64
	EventID        matrix.EventID
}

var delayedSentTable = newTable("delayed_sent", "delayed:i event:i event_id:t", 1, "ignore")

func (*DelayedSentRow) table() *table { return delayedSentTable }
func (r *DelayedSentRow) args(dst []any) []any {
	return append(dst, r.Delayed, r.Event, string(r.EventID))
}

// FinaliseDelayed ends the waiting of a delayed event; it fails when that ended before. why is JSON, nil for no error.
func FinaliseDelayed(nid, now int64, why []byte) Guard {
	return Guard{sql: `UPDATE delayed_events SET finalised = $2, error = $3 WHERE nid = $1 AND finalised = 0`,
		args: []any{nid, now, notNull(why)}, want: 1}
}

// RestartDelayed begins a delayed event's time anew; it fails when its waiting ended before.
func RestartDelayed(nid, now int64) Guard {
	return Guard{sql: `UPDATE delayed_events SET scheduled = $2, due = $2 + delay, lease = 0 WHERE nid = $1 AND finalised = 0`,
		args: []any{nid, now}, want: 1}
}

// LeaseDelayed takes events whose time has come for this node until an instant, and collects them.
func LeaseDelayed(now, until int64, limit int, into *[]Delayed) Guard {
	return Guard{sql: `UPDATE delayed_events SET lease = $2 WHERE nid IN (SELECT nid FROM delayed_events
		WHERE finalised = 0 AND due <= $1 AND lease <= $1 ORDER BY due LIMIT $3) RETURNING ` + delayedColumns,
		args: []any{now, until, int64(limit)}, want: anyRows, begin: func() { *into = nil }, scan: func(r *sql.Rows) error {
			d, err := scanDelayed(r)
			*into = append(*into, d)
			return err
		}}
}

// PruneDelayed forgets delayed events that ended before an instant, and all but the newest keep of each user, in bites.
func (db *DB) PruneDelayed(ctx context.Context, before, keep int64) error {
	old, err := db.numbers(ctx, `SELECT nid FROM (SELECT nid, finalised, ROW_NUMBER() OVER (PARTITION BY usr ORDER BY finalised DESC) AS n
		FROM delayed_events WHERE finalised > 0) x WHERE finalised < $1 OR n > $2`, before, keep)
	if err == nil {
		err = db.eatEach(ctx, `DELETE FROM delayed_sent WHERE delayed IN`, old)
	}
	if err == nil {
		err = db.eatEach(ctx, `DELETE FROM delayed_events WHERE nid IN`, old)
	}
	return err
}

const delayedColumns = `nid, id, usr, room, type, skeyed, skey, content, sticky, delay, scheduled, due, since, lease, finalised, error`

func scanDelayed(r *sql.Rows) (d Delayed, err error) {
	var keyed int64
	var key string
	err = r.Scan(&d.NID, &d.ID, &d.User, &d.Room, &d.Type, &keyed, &key, &d.Content, &d.Sticky, &d.Delay, &d.Scheduled, &d.Due, &d.Since,
		&d.Lease, &d.Finalised, &d.Error)
	if keyed != 0 {
		d.StateKey = &key
	}
	return d, err
}

func (db *DB) listDelayed(ctx context.Context, where string, args ...any) ([]Delayed, error) {
	var out []Delayed
	err := db.each(ctx, `SELECT `+delayedColumns+` FROM delayed_events WHERE `+where, args, func(r *sql.Rows) error {
		d, err := scanDelayed(r)
		out = append(out, d)
		return err
	})
	return out, err
}

// FindDelayed finds a delayed event by what it is managed by, or ErrNotFound.
func (db *DB) FindDelayed(ctx context.Context, id string) (Delayed, error) {
	found, err := db.listDelayed(ctx, `id = $1`, id)
	if err != nil {
		return Delayed{}, err
	}
	if len(found) == 0 {
		return Delayed{}, ErrNotFound
	}
	d := found[0]
	if d.Finalised == 0 {
		return d, nil
	}
	return d, db.each(ctx, `SELECT event_id FROM delayed_sent WHERE delayed = $1`, []any{d.NID}, func(r *sql.Rows) error {
		return r.Scan(&d.Event)
	})
}

// FindDelayedByTxn finds what a transaction id scheduled, or ErrNotFound.
func (db *DB) FindDelayedByTxn(ctx context.Context, t *TransactionRow) (id string, err error) {
	err = db.row(ctx, `SELECT id FROM delayed_events WHERE device = $1 AND endpoint = $2 AND txn = $3 AND txn <> ''`,
		[]any{t.Device, t.Endpoint, t.TxnID}, &id)
	return id, err
}

// ListDelayed lists a user's events that wait, by when they are due.
func (db *DB) ListDelayed(ctx context.Context, user int64) ([]Delayed, error) {
	return db.listDelayed(ctx, `usr = $1 AND finalised = 0 ORDER BY due, nid`, user)
}

// NextDelayed is when the first delayed event is to be looked at: it is due, or the lease of one that was due ends. 0: none waits.
func (db *DB) NextDelayed(ctx context.Context) (int64, error) {
	next := int64(0)
	err := db.each(ctx, `SELECT due, lease FROM delayed_events WHERE finalised = 0 ORDER BY due LIMIT 100`, nil, func(r *sql.Rows) error {
		var due, lease int64
		err := r.Scan(&due, &lease)
		if at := max(due, lease); next == 0 || at < next {
			next = at
		}
		return err
	})
	return next, err
}

// ListDelayIDs finds by which delayed events these events were made.
func (db *DB) ListDelayIDs(ctx context.Context, events []int64) (map[int64]string, error) {
	out := make(map[int64]string, len(events))
	for _, e := range events {
		err := db.each(ctx, `SELECT d.id FROM delayed_sent s JOIN delayed_events d ON d.nid = s.delayed WHERE s.event = $1`, []any{e},
			func(r *sql.Rows) error {
				var id string
				err := r.Scan(&id)
				out[e] = id
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

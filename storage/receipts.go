package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// OwnReceipt is the receipt type of what a user has sent himself: it counts as read and is shown to nobody.
const OwnReceipt = "own"

// ReceiptRow moves a receipt forward; one that points behind the stored one changes nothing. Its Live entry is one of
// KindReceipt, except for OwnReceipt, which has none.
type ReceiptRow struct {
	At
	Room, User int64
	// Type is m.read, m.read.private or OwnReceipt; Thread is "" (unthreaded), "main" or the id of a thread's root, of
	// an OwnReceipt the root's number.
	Type, Thread string
	EventID      matrix.EventID
	// EventPos, Notify, TNotify are those of the event; they are taken from Event where that is set.
	EventPos, Notify, TNotify int64
	TS                        int64
	// Event is the row of an event of the same Change, whose position is not known before the commit.
	Event *EventRow
}

var receiptsTable = newTable("receipts", "room:i usr:i type:t thread:t event_id:t event_pos:i notify:i tnotify:i ts:i pos:i", 4,
	`ON CONFLICT (room, usr, type, thread) DO UPDATE SET event_id = excluded.event_id, event_pos = excluded.event_pos,
	notify = excluded.notify, tnotify = excluded.tnotify, ts = excluded.ts, pos = excluded.pos
	WHERE excluded.event_pos >= receipts.event_pos`)

func (*ReceiptRow) table() *table { return receiptsTable }

func (r *ReceiptRow) args(dst []any) []any {
	if r.Event != nil {
		r.EventPos, r.Notify, r.TNotify = r.Event.Pos, r.Event.Notify, r.Event.TNotify
	}
	return append(dst, r.Room, r.User, r.Type, r.Thread, string(r.EventID), r.EventPos, r.Notify, r.TNotify, r.TS, r.Pos)
}

const receiptColumns = `room, usr, type, thread, event_id, event_pos, notify, tnotify, ts, pos`

func (r *ReceiptRow) scan(rows *sql.Rows) error {
	return rows.Scan(&r.Room, &r.User, &r.Type, &r.Thread, &r.EventID, &r.EventPos, &r.Notify, &r.TNotify, &r.TS, &r.Pos)
}

// ListReceipts lists the receipts of a room that moved in (after, upto], in that order.
func (db *DB) ListReceipts(ctx context.Context, room, after, upto int64) ([]ReceiptRow, error) {
	return db.receipts(ctx, `SELECT `+receiptColumns+` FROM receipts WHERE room = $1 AND pos > $2 AND pos <= $3 AND pos > 0
		ORDER BY pos`, room, after, upto)
}

// ListReceiptsOf lists all receipts of one user in a room, those of type OwnReceipt included.
func (db *DB) ListReceiptsOf(ctx context.Context, room, user int64) ([]ReceiptRow, error) {
	return db.receipts(ctx, `SELECT `+receiptColumns+` FROM receipts WHERE room = $1 AND usr = $2 ORDER BY type, thread`, room, user)
}

// ListReceiptsOfIn lists all receipts of one user in each of some rooms, as ListReceiptsOf does for one.
func (db *DB) ListReceiptsOfIn(ctx context.Context, user int64, rooms []int64) (map[int64][]ReceiptRow, error) {
	out := make(map[int64][]ReceiptRow, len(rooms))
	err := db.eachIn(ctx, `SELECT `+receiptColumns+` FROM receipts WHERE usr = $1 AND room IN`, rooms, ` ORDER BY room, type, thread`,
		func(rows *sql.Rows) error {
			var r ReceiptRow
			err := r.scan(rows)
			out[r.Room] = append(out[r.Room], r)
			return err
		}, user)
	return out, err
}

// ListReceiptsIn lists for each of some rooms what ListReceipts does for one.
func (db *DB) ListReceiptsIn(ctx context.Context, rooms []int64, after, upto int64) (map[int64][]ReceiptRow, error) {
	out := make(map[int64][]ReceiptRow, len(rooms))
	err := db.eachIn(ctx, `SELECT `+receiptColumns+` FROM receipts WHERE pos > $1 AND pos <= $2 AND pos > 0 AND room IN`, rooms,
		` ORDER BY room, pos`, func(rows *sql.Rows) error {
			var r ReceiptRow
			err := r.scan(rows)
			out[r.Room] = append(out[r.Room], r)
			return err
		}, after, upto)
	return out, err
}

func (db *DB) receipts(ctx context.Context, text string, args ...any) ([]ReceiptRow, error) {
	var out []ReceiptRow
	err := db.each(ctx, text, args, func(rows *sql.Rows) error {
		var r ReceiptRow
		err := r.scan(rows)
		out = append(out, r)
		return err
	})
	return out, err
}

package storage

import (
	"context"
	"database/sql"
)

// FindTransaction is the event that a transaction id made before, or ErrNotFound.
func (db *DB) FindTransaction(ctx context.Context, t *TransactionRow) (event int64, err error) {
	err = db.row(ctx, `SELECT event FROM transactions WHERE device = $1 AND endpoint = $2 AND txn = $3`,
		[]any{t.Device, t.Endpoint, t.TxnID}, &event)
	return event, err
}

// ListTransactionIDs finds the transaction ids by which a device sent events.
func (db *DB) ListTransactionIDs(ctx context.Context, device int64, events []int64) (map[int64]string, error) {
	out := make(map[int64]string, len(events))
	for _, e := range events {
		err := db.each(ctx, `SELECT txn FROM transactions WHERE event = $1 AND device = $2`, []any{e, device},
			func(r *sql.Rows) error {
				var txn string
				err := r.Scan(&txn)
				out[e] = txn
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

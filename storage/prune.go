package storage

import (
	"context"
	"database/sql"
	"errors"
)

// prunePiece bounds how many rows one transaction of a clean-up looks at or deletes, so that live writes never wait
// for long.
const prunePiece = 500

// MarkStream notes the position that the stream has now.
func (db *DB) MarkStream(ctx context.Context, now int64) error {
	c := &Change{}
	c.Guard(Guard{sql: `INSERT INTO stream_marks (ts, pos) SELECT $1, pos FROM stream WHERE id = 1 ON CONFLICT (ts) DO NOTHING`,
		args: []any{now}, want: anyRows})
	return db.Commit(ctx, c)
}

// PruneChanges deletes the entries of the stream from before an instant, in pieces, and returns how many went. What
// pushers were not told of yet stays. Sync tokens do not need these entries: nodes read them, to hear what others wrote.
func (db *DB) PruneChanges(ctx context.Context, before int64) (int64, error) {
	var mark, told, first int64
	err := db.row(ctx, `SELECT pos FROM stream_marks WHERE ts <= $1 ORDER BY ts DESC LIMIT 1`, []any{before}, &mark)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err == nil {
		err = db.row(ctx, `SELECT COALESCE((SELECT pos FROM push_cursor WHERE id = 1), $1), COALESCE((SELECT MIN(pos) FROM changes), 1)`,
			[]any{mark}, &told, &first)
	}
	if err != nil {
		return 0, err
	}
	upto := min(mark, told)
	for last := first - 1; last < upto; {
		next := min(last+prunePiece, upto)
		c := &Change{}
		c.Guard(Guard{sql: `DELETE FROM changes WHERE pos <= $1`, args: []any{next}, want: anyRows})
		if err := db.Commit(ctx, c); err != nil {
			return max(last-first+1, 0), err
		}
		last = next
	}
	c := &Change{}
	c.Guard(Guard{sql: `DELETE FROM stream_marks WHERE ts < $1 AND pos < $2`, args: []any{before, upto}, want: anyRows})
	return max(upto-first+1, 0), db.Commit(ctx, c)
}

// CountChanges counts the entries of the stream that are kept.
func (db *DB) CountChanges(ctx context.Context) (n int, err error) {
	err = db.row(ctx, `SELECT COUNT(*) FROM changes`, nil, &n)
	return n, err
}

// txnKey is the key of a transaction id.
type txnKey struct {
	device, endpoint int64
	txn              string
}

// PruneTransactions forgets the transaction ids from before an instant, in pieces, and returns how many went.
// Why along the key: an index over time would cost every message something.
func (db *DB) PruneTransactions(ctx context.Context, before int64) (int, error) {
	var last txnKey
	for total := 0; ; {
		var keys []txnKey
		old := 0
		err := db.each(ctx, `SELECT device, endpoint, txn, ts FROM transactions WHERE (device, endpoint, txn) > ($1, $2, $3)
			ORDER BY device, endpoint, txn LIMIT $4`, []any{last.device, last.endpoint, last.txn, int64(prunePiece)},
			func(r *sql.Rows) error {
				var k txnKey
				var ts int64
				err := r.Scan(&k.device, &k.endpoint, &k.txn, &ts)
				if keys = append(keys, k); ts < before {
					old++
				}
				return err
			})
		if err != nil || len(keys) == 0 {
			return total, err
		}
		end := keys[len(keys)-1]
		if old > 0 {
			c := &Change{}
			c.Guard(Guard{sql: `DELETE FROM transactions WHERE (device, endpoint, txn) > ($1, $2, $3)
				AND (device, endpoint, txn) <= ($4, $5, $6) AND ts < $7`,
				args: []any{last.device, last.endpoint, last.txn, end.device, end.endpoint, end.txn, before}, want: anyRows})
			if err := db.Commit(ctx, c); err != nil {
				return total, err
			}
		}
		total, last = total+old, end
	}
}

// PruneToDevice empties the queues of devices that have not been seen since an instant, in pieces, and returns how
// many devices had one. A device that has never been seen counts from when it was made; one that is gone has no queue.
func (db *DB) PruneToDevice(ctx context.Context, before int64) (int, error) {
	for total, last := 0, int64(-1); ; {
		var devices, idle []int64
		err := db.each(ctx, `SELECT q.device, COALESCE((SELECT MAX(n.ts) FROM sessions s JOIN session_seen n ON n.session = s.nid
			WHERE s.device = q.device), 0), COALESCE((SELECT d.created FROM devices d WHERE d.nid = q.device), 0)
			FROM (SELECT DISTINCT device FROM to_device WHERE device > $1 ORDER BY device LIMIT $2) q ORDER BY q.device`,
			[]any{last, int64(100)}, func(r *sql.Rows) error {
				var device, seen, made int64
				err := r.Scan(&device, &seen, &made)
				if devices = append(devices, device); max(seen, made) < before {
					idle = append(idle, device)
				}
				return err
			})
		if err != nil || len(devices) == 0 {
			return total, err
		}
		for _, d := range idle {
			if err := db.emptyQueue(ctx, d); err != nil {
				return total, err
			}
			total++
		}
		last = devices[len(devices)-1]
	}
}

// emptyQueue deletes what is queued for a device now, in pieces.
func (db *DB) emptyQueue(ctx context.Context, device int64) error {
	for upto := db.Position(); ; {
		list, err := db.ListToDevice(ctx, device, 0, upto, prunePiece)
		if err != nil || len(list) == 0 {
			return err
		}
		c := &Change{}
		c.Guard(DeleteToDevice(device, list[len(list)-1].Pos))
		if err := db.Commit(ctx, c); err != nil {
			return err
		}
	}
}

// KeepJob makes sure that a job which comes again and again is there; its number is negative and its own.
func KeepJob(nid int64, kind string) Guard {
	return Guard{sql: `INSERT INTO jobs (nid, kind, body, due, holder, lease, tries, error) VALUES ($1, $2, $3, 0, 0, 0, 0, '')
		ON CONFLICT (nid) DO NOTHING`, args: []any{nid, kind, []byte("{}")}, want: anyRows}
}

// ListKeptJobs gives the numbers of the jobs that come again and again ([KeepJob]).
func (db *DB) ListKeptJobs(ctx context.Context) ([]int64, error) {
	var out []int64
	err := db.each(ctx, `SELECT nid FROM jobs WHERE nid < 0`, nil, func(r *sql.Rows) error {
		var nid int64
		err := r.Scan(&nid)
		out = append(out, nid)
		return err
	})
	return out, err
}

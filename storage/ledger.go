package storage

import (
	"context"
	"database/sql"
	"errors"
)

// LedgerHead is how long the ledger is, with the hashes of its complete subtrees.
type LedgerHead struct {
	Size, TS int64
	Edge     []byte
}

// ErrLedgerMoved says that another process appended to the ledger since its head was read.
var ErrLedgerMoved = errors.New("storage: the ledger has grown")

// GetLedgerHead reads how long the ledger is.
func (db *DB) GetLedgerHead(ctx context.Context) (LedgerHead, error) {
	var h LedgerHead
	err := db.row(ctx, `SELECT size, ts, edge FROM ledger_head WHERE id = 1`, nil, &h.Size, &h.TS, &h.Edge)
	return h, err
}

// MoveLedger moves the head; it is the guard of every Change that appends, and orders them: ErrLedgerMoved when the ledger is
// not as long as it was thought to be.
func MoveLedger(from int64, to LedgerHead) Guard {
	return Guard{sql: `UPDATE ledger_head SET size = $2, ts = $3, edge = $4 WHERE id = 1 AND size = $1`,
		args: []any{from, to.Size, to.TS, to.Edge}, want: 1, fail: ErrLedgerMoved}
}

// LedgerRecord is one leaf of the ledger. Hashes and Items are 32 bytes each.
type LedgerRecord struct {
	N, TS  int64
	Body   []byte
	Hashes []byte
	Items  []byte
}

// LedgerRecordRow appends a record.
type LedgerRecordRow struct{ LedgerRecord }

var ledgerRecordsTable = newTable("ledger_records", "n:i ts:i body:b hashes:b items:b", 1, "")

func (*LedgerRecordRow) table() *table { return ledgerRecordsTable }
func (r *LedgerRecordRow) args(dst []any) []any {
	items := r.Items
	if items == nil {
		items = []byte{}
	}
	return append(dst, r.N, r.TS, r.Body, r.Hashes, items)
}

// EachLedgerRecord reads records in order from one up to and without another. fn must not keep the slices, nor write or wait.
func (db *DB) EachLedgerRecord(ctx context.Context, from, upto int64, fn func(LedgerRecord) error) error {
	var body, hashes, items sql.RawBytes
	return db.each(ctx, `SELECT n, ts, body, hashes, items FROM ledger_records WHERE n >= $1 AND n < $2 ORDER BY n`,
		[]any{from, upto}, func(r *sql.Rows) error {
			var l LedgerRecord
			if err := r.Scan(&l.N, &l.TS, &body, &hashes, &items); err != nil {
				return err
			}
			l.Body, l.Hashes, l.Items = body, hashes, items
			return fn(l)
		})
}

// ListLedgerHashes reads the hashes of some records, by their numbers.
func (db *DB) ListLedgerHashes(ctx context.Context, numbers []int64) (map[int64][]byte, error) {
	out := make(map[int64][]byte, len(numbers))
	err := db.eachIn(ctx, `SELECT n, hashes FROM ledger_records WHERE n IN`, numbers, ``, func(r *sql.Rows) error {
		var n int64
		var hashes []byte
		err := r.Scan(&n, &hashes)
		out[n] = hashes
		return err
	})
	return out, err
}

// FindLedgerTime gives the number of the first record that is not older than an instant; ErrNotFound when there is none.
func (db *DB) FindLedgerTime(ctx context.Context, ts int64) (n int64, err error) {
	err = db.row(ctx, `SELECT n FROM ledger_records WHERE ts >= $1 ORDER BY ts, n LIMIT 1`, []any{ts}, &n)
	return n, err
}

// DeleteLedgerRecords deletes the records from one up to and without another.
func DeleteLedgerRecords(from, upto int64) Guard {
	return Guard{sql: `DELETE FROM ledger_records WHERE n >= $1 AND n < $2`, args: []any{from, upto}, want: anyRows}
}

// LedgerIndexRow notes that a key occurs in a block of records.
type LedgerIndexRow struct {
	Key   []byte
	Block int64
}

var ledgerIndexTable = newTable("ledger_index", "key:b block:i", 2, "ignore")

func (*LedgerIndexRow) table() *table          { return ledgerIndexTable }
func (r *LedgerIndexRow) args(dst []any) []any { return append(dst, r.Key, r.Block) }

// ListLedgerBlocks lists in which blocks a key occurs, in order.
func (db *DB) ListLedgerBlocks(ctx context.Context, key []byte) ([]int64, error) {
	var out []int64
	err := db.each(ctx, `SELECT block FROM ledger_index WHERE key = $1 ORDER BY block`, []any{key}, func(r *sql.Rows) error {
		var b int64
		err := r.Scan(&b)
		out = append(out, b)
		return err
	})
	return out, err
}

// PruneLedgerIndex forgets what stood in the blocks before one, in bites along the key.
// Why along the key: an index over blocks would cost every record something.
func (db *DB) PruneLedgerIndex(ctx context.Context, before int64) error {
	for last, block := []byte{}, int64(-1); ; {
		old, n := 0, 0
		first, at := last, block
		err := db.each(ctx, `SELECT key, block FROM ledger_index WHERE (key, block) > ($1, $2) ORDER BY key, block LIMIT $3`,
			[]any{last, block, int64(prunePiece)}, func(r *sql.Rows) error {
				var key []byte
				err := r.Scan(&key, &block)
				if last, n = key, n+1; block < before {
					old++
				}
				return err
			})
		if err != nil || n == 0 {
			return err
		}
		if old == 0 {
			continue
		}
		c := &Change{}
		c.Guard(Guard{sql: `DELETE FROM ledger_index WHERE (key, block) > ($1, $2) AND (key, block) <= ($3, $4) AND block < $5`,
			args: []any{first, at, last, block, before}, want: anyRows})
		if err := db.Commit(ctx, c); err != nil {
			return err
		}
	}
}

// FindLedgerUnsealed gives the number of the first record whose contents are there; ErrNotFound when there is none.
func (db *DB) FindLedgerUnsealed(ctx context.Context) (n int64, err error) {
	err = db.row(ctx, `SELECT n FROM ledger_records WHERE LENGTH(body) > 0 ORDER BY n LIMIT 1`, nil, &n)
	return n, err
}

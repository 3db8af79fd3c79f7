package storage

import (
	"context"
	"database/sql"
)

// LedgerName says what the ledger's records call somebody or something during a month.
type LedgerName struct {
	Name          string
	Period        int64
	Alias, Secret []byte
}

// LedgerNameRow adds a name.
type LedgerNameRow struct{ LedgerName }

var ledgerNamesTable = newTable("ledger_names", "name:t period:i alias:b secret:b", 3, "ignore")

func (*LedgerNameRow) table() *table { return ledgerNamesTable }
func (r *LedgerNameRow) args(dst []any) []any {
	return append(dst, r.Name, r.Period, r.Alias, r.Secret)
}

const selectLedgerNames = `SELECT name, period, alias, secret FROM ledger_names `

func (db *DB) listLedgerNames(ctx context.Context, where string, args ...any) ([]LedgerName, error) {
	var out []LedgerName
	err := db.each(ctx, selectLedgerNames+where, args, func(r *sql.Rows) error {
		var n LedgerName
		err := r.Scan(&n.Name, &n.Period, &n.Alias, &n.Secret)
		out = append(out, n)
		return err
	})
	return out, err
}

// ListLedgerAliases lists all that a name was called.
func (db *DB) ListLedgerAliases(ctx context.Context, name string) ([]LedgerName, error) {
	return db.listLedgerNames(ctx, `WHERE name = $1 ORDER BY period, alias`, name)
}

// FindLedgerName finds who is meant by an alias; ErrNotFound when that was forgotten.
func (db *DB) FindLedgerName(ctx context.Context, alias []byte) (LedgerName, error) {
	list, err := db.listLedgerNames(ctx, `WHERE alias = $1`, alias)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return LedgerName{}, err
	}
	return list[0], nil
}

// EraseLedgerName forgets what a name was called: records that mean it can be understood no more.
func EraseLedgerName(name string) Guard {
	return Guard{sql: `DELETE FROM ledger_names WHERE name = $1`, args: []any{name}, want: anyRows}
}

// ListErasedLedgerNames lists names by which records still mean people whose accounts were erased; prefix is what stands before their ids.
func (db *DB) ListErasedLedgerNames(ctx context.Context, prefix string, limit int64) ([]string, error) {
	var out []string
	err := db.each(ctx, `SELECT DISTINCT n.name FROM users u JOIN user_ids i ON i.nid = u.nid JOIN ledger_names n ON n.name = $1 || i.user_id
		WHERE u.flags & $2 <> 0 LIMIT $3`, []any{prefix, int64(UserErased), limit}, func(r *sql.Rows) error {
		var name string
		err := r.Scan(&name)
		out = append(out, name)
		return err
	})
	return out, err
}

// LedgerCheckpoint is a signed statement about the ledger.
type LedgerCheckpoint struct {
	Size, TS   int64
	Root, Note []byte
}

// LedgerCheckpointRow adds a checkpoint; one that is there stays.
type LedgerCheckpointRow struct{ LedgerCheckpoint }

var ledgerCheckpointsTable = newTable("ledger_checkpoints", "size:i ts:i root:b note:b", 1, "ignore")

func (*LedgerCheckpointRow) table() *table { return ledgerCheckpointsTable }
func (r *LedgerCheckpointRow) args(dst []any) []any {
	return append(dst, r.Size, r.TS, r.Root, r.Note)
}

// ListLedgerCheckpoints lists all checkpoints in order.
func (db *DB) ListLedgerCheckpoints(ctx context.Context) ([]LedgerCheckpoint, error) {
	return db.listLedgerCheckpoints(ctx, `ORDER BY size`)
}

// FindLedgerCheckpoint finds the newest checkpoint; ErrNotFound when there is none.
func (db *DB) FindLedgerCheckpoint(ctx context.Context) (LedgerCheckpoint, error) {
	list, err := db.listLedgerCheckpoints(ctx, `ORDER BY size DESC LIMIT 1`)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return LedgerCheckpoint{}, err
	}
	return list[0], nil
}

func (db *DB) listLedgerCheckpoints(ctx context.Context, where string) ([]LedgerCheckpoint, error) {
	var out []LedgerCheckpoint
	err := db.each(ctx, `SELECT size, ts, root, note FROM ledger_checkpoints `+where, nil, func(r *sql.Rows) error {
		var c LedgerCheckpoint
		err := r.Scan(&c.Size, &c.TS, &c.Root, &c.Note)
		out = append(out, c)
		return err
	})
	return out, err
}

// CosignLedger replaces the note of a checkpoint by one with more signatures, unless it was replaced meanwhile.
func CosignLedger(size int64, was, note []byte) Guard {
	return Guard{sql: `UPDATE ledger_checkpoints SET note = $3 WHERE size = $1 AND note = $2`, args: []any{size, was, note}, want: 1}
}

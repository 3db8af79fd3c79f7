package storage

import (
	"context"
	"database/sql"
	"strings"
)

// KeyID names a one-time or fallback key of a device.
type KeyID struct {
	Device        int64
	Algorithm, ID string
}

// OneTimeKey is a one-time or fallback key: its name and its JSON, a string or an object.
type OneTimeKey struct {
	KeyID
	Body    []byte
	Claimed bool // it was handed out
}

// OneTimeKeyRow adds a key; Seq orders the keys of a device. A key that is there already, or was handed out, stays as it
// is; another key may take the name of one that was handed out.
type OneTimeKeyRow struct {
	OneTimeKey
	Seq int64
}

var oneTimeKeysTable = newTable("one_time_keys", "device:i algorithm:t key_id:t seq:i body:b claimed:i", 3,
	`ON CONFLICT (device, algorithm, key_id) DO UPDATE SET seq = excluded.seq, body = excluded.body, claimed = 0
	WHERE one_time_keys.claimed > 0 AND one_time_keys.body <> excluded.body`)

func (*OneTimeKeyRow) table() *table { return oneTimeKeysTable }
func (r *OneTimeKeyRow) args(dst []any) []any {
	return append(dst, r.Device, r.Algorithm, r.ID, r.Seq, r.Body, int64(0))
}

// FallbackKeyRow sets the fallback key of a device and algorithm. The same key uploaded again keeps its mark of use.
type FallbackKeyRow struct{ OneTimeKey }

var fallbackKeysTable = newTable("fallback_keys", "device:i algorithm:t key_id:t body:b used:i", 2,
	`ON CONFLICT (device, algorithm) DO UPDATE SET
		used = CASE WHEN fallback_keys.key_id = excluded.key_id AND fallback_keys.body = excluded.body THEN fallback_keys.used ELSE 0 END,
		key_id = excluded.key_id, body = excluded.body`)

func (*FallbackKeyRow) table() *table { return fallbackKeysTable }
func (r *FallbackKeyRow) args(dst []any) []any {
	return append(dst, r.Device, r.Algorithm, r.ID, r.Body, int64(0))
}

// ListOneTimeKeys lists the keys of a device, those handed out too.
func (db *DB) ListOneTimeKeys(ctx context.Context, device int64) ([]OneTimeKey, error) {
	var out []OneTimeKey
	err := db.each(ctx, `SELECT algorithm, key_id, body, claimed > 0 FROM one_time_keys WHERE device = $1`, []any{device},
		func(r *sql.Rows) error {
			k := OneTimeKey{KeyID: KeyID{Device: device}}
			err := r.Scan(&k.Algorithm, &k.ID, &k.Body, &k.Claimed)
			out = append(out, k)
			return err
		})
	return out, err
}

// CountOneTimeKeys counts the keys of a device that can still be claimed, by algorithm.
func (db *DB) CountOneTimeKeys(ctx context.Context, device int64) (map[string]int64, error) {
	out := map[string]int64{}
	err := db.each(ctx, `SELECT algorithm, COUNT(*) FROM one_time_keys WHERE device = $1 AND claimed = 0 GROUP BY algorithm`,
		[]any{device}, func(r *sql.Rows) error {
			var algorithm string
			var n int64
			err := r.Scan(&algorithm, &n)
			out[algorithm] = n
			return err
		})
	return out, err
}

// ListUnusedFallback lists the algorithms of a device whose fallback key has not been handed out.
func (db *DB) ListUnusedFallback(ctx context.Context, device int64) ([]string, error) {
	out := []string{}
	err := db.each(ctx, `SELECT algorithm FROM fallback_keys WHERE device = $1 AND used = 0 ORDER BY algorithm`, []any{device},
		func(r *sql.Rows) error {
			var algorithm string
			err := r.Scan(&algorithm)
			out = append(out, algorithm)
			return err
		})
	return out, err
}

// Want asks for a key of a device.
type Want struct {
	Device    int64
	Algorithm string
}

// Claim collects keys that were handed out. It is read after the Change is committed.
type Claim struct{ Keys []OneTimeKey }

func (c *Claim) scan(r *sql.Rows) error {
	var k OneTimeKey
	err := r.Scan(&k.Device, &k.Algorithm, &k.ID, &k.Body)
	c.Keys = append(c.Keys, k)
	return err
}

// ClaimMax is how many keys one claim may ask for.
const ClaimMax = 256

// ClaimOneTimeKeys hands out the oldest key of each device and algorithm: to one claimant only, on any number of nodes,
// since the commit holds the stream's lock. There must be a want, and at most [ClaimMax] of them.
func (db *DB) ClaimOneTimeKeys(wants []Want, now int64, into *Claim) Guard {
	const oldest = `FROM one_time_keys k WHERE k.device = w.device AND k.algorithm = w.algorithm AND k.claimed = 0 ORDER BY k.seq LIMIT 1`
	if db.dialect.arrays { // Why by place: PostgreSQL would look up by name what it has just found
		return claimGuard(wants, into, now, wantArrays, `UPDATE one_time_keys t SET claimed = $3
			FROM (SELECT (SELECT k.ctid `+oldest+`) AS place FROM w) p WHERE t.ctid = p.place
			RETURNING t.device, t.algorithm, t.key_id, t.body`)
	}
	return claimGuard(wants, into, now, wantValues, `UPDATE one_time_keys SET claimed = ? WHERE (device, algorithm, key_id) IN (
			SELECT w.device, w.algorithm, (SELECT k.key_id `+oldest+`) FROM w) RETURNING device, algorithm, key_id, body`)
}

// ClaimFallbackKeys hands out fallback keys, which can be handed out again, and marks them as used.
func (db *DB) ClaimFallbackKeys(wants []Want, into *Claim) Guard {
	const take = ` WHERE (device, algorithm) IN (SELECT w.device, w.algorithm FROM w) RETURNING device, algorithm, key_id, body`
	if db.dialect.arrays {
		return claimGuard(wants, into, 1, wantArrays, `UPDATE fallback_keys SET used = $3`+take)
	}
	return claimGuard(wants, into, 1, wantValues, `UPDATE fallback_keys SET used = ?`+take)
}

// statement is a text, or the beginning of one, with its parameters.
type statement struct {
	sql  string
	args []any
}

// claimGuard puts the wants, as the table w, before a statement whose own parameter is the mark.
func claimGuard(wants []Want, into *Claim, mark int64, table func([]Want) statement, take string) Guard {
	w := table(wants)
	// Why begin: when the transaction is run again, another node may have taken a key in between.
	return Guard{sql: w.sql + take, args: append(w.args, mark), want: anyRows, scan: into.scan, begin: func() { into.Keys = nil }}
}

// wantArrays is the table of wants for PostgreSQL.
func wantArrays(wants []Want) statement {
	flat := make([]any, 0, 2*len(wants))
	for _, w := range wants {
		flat = append(flat, w.Device, w.Algorithm)
	}
	return statement{`WITH w (device, algorithm) AS (SELECT * FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS TEXT[]))) `,
		[]any{appendArray(nil, intCol, flat, 0, 2, len(wants)), appendArray(nil, textCol, flat, 1, 2, len(wants))}}
}

// wantValues is the table of wants for SQLite. Lists have powers of two as their lengths, filled up with their last
// member, which bounds the number of prepared statements.
// Why "?": the driver looks up the name of every named parameter at each run.
func wantValues(wants []Want) statement {
	size := 1
	for size < len(wants) {
		size *= 2
	}
	args := make([]any, 0, 2*size+1)
	for i := range size {
		w := &wants[min(i, len(wants)-1)]
		args = append(args, w.Device, w.Algorithm)
	}
	return statement{`WITH w (device, algorithm) AS (VALUES (?, ?)` + strings.Repeat(`, (?, ?)`, size-1) + `) `, args}
}

// PruneClaimedKeys forgets keys of a device that were handed out before an instant.
func PruneClaimedKeys(device, before int64) Guard {
	return Guard{sql: `DELETE FROM one_time_keys WHERE device = $1 AND claimed > 0 AND claimed < $2`,
		args: []any{device, before}, want: anyRows}
}

package storage

import (
	"context"
	"database/sql"
	"strconv"
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
	Body []byte
}

// InsertOneTimeKey adds a key; seq orders the keys of a device. A key that is there already, or was, stays as it is.
func InsertOneTimeKey(k OneTimeKey, seq int64) Guard {
	return Guard{sql: `INSERT INTO one_time_keys (device, algorithm, key_id, seq, body, claimed) VALUES ($1, $2, $3, $4, $5, 0)
			ON CONFLICT DO NOTHING`,
		args: []any{k.Device, k.Algorithm, k.ID, seq, k.Body}, want: anyRows}
}

// OneTimeKeyRow is InsertOneTimeKey as a row, for many keys at once.
type OneTimeKeyRow struct {
	OneTimeKey
	Seq int64
}

var oneTimeKeysTable = newTable("one_time_keys", "device:i algorithm:t key_id:t seq:i body:b claimed:i", 3, "ignore")

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

// ListOneTimeKeys lists the keys of a device, those handed out too: their Body is empty.
func (db *DB) ListOneTimeKeys(ctx context.Context, device int64) ([]OneTimeKey, error) {
	var out []OneTimeKey
	err := db.each(ctx, `SELECT algorithm, key_id, body FROM one_time_keys WHERE device = $1`, []any{device},
		func(r *sql.Rows) error {
			k := OneTimeKey{KeyID: KeyID{Device: device}}
			err := r.Scan(&k.Algorithm, &k.ID, &k.Body)
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

// reset forgets what an attempt that was rolled back had taken. Why: a claim is run again when its transaction fails,
// and another node may have taken the key in between.
func (c *Claim) reset() Guard {
	return Guard{sql: `SELECT 1`, want: anyRows, scan: func(*sql.Rows) error {
		c.Keys = nil
		return nil
	}}
}

func (c *Claim) scan(r *sql.Rows) error {
	var k OneTimeKey
	err := r.Scan(&k.Device, &k.Algorithm, &k.ID, &k.Body)
	c.Keys = append(c.Keys, k)
	return err
}

// claimChunk is how many keys one statement claims; a shorter list repeats its last entry, which claims nothing more.
const claimChunk = 16

// ClaimOneTimeKeys hands out the oldest key of each device and algorithm: to one claimant only, on any number of nodes,
// since the commit holds the stream's lock. An entry must not appear twice.
func ClaimOneTimeKeys(wants []Want, now int64, into *Claim) []Guard {
	// Why no RETURNING body from the UPDATE: it would return the emptied one; the key is read, then marked, under the lock.
	return claimGuards(wants, into,
		`SELECT k.device, k.algorithm, k.key_id, k.body FROM one_time_keys k JOIN want w ON w.device = k.device AND w.algorithm = k.algorithm
		WHERE k.claimed = 0 AND k.seq = (SELECT MIN(m.seq) FROM one_time_keys m
			WHERE m.device = w.device AND m.algorithm = w.algorithm AND m.claimed = 0)`,
		`UPDATE one_time_keys SET claimed = $1, body = $2 WHERE claimed = 0 AND (device, algorithm, seq) IN (
			SELECT w.device, w.algorithm, MIN(m.seq) FROM want w JOIN one_time_keys m ON m.device = w.device AND m.algorithm = w.algorithm
			WHERE m.claimed = 0 GROUP BY w.device, w.algorithm)`, now, []byte{})
}

// ClaimFallbackKeys hands out fallback keys, which can be handed out again, and marks them as used.
func ClaimFallbackKeys(wants []Want, into *Claim) []Guard {
	return claimGuards(wants, into,
		`SELECT k.device, k.algorithm, k.key_id, k.body FROM fallback_keys k JOIN want w ON w.device = k.device AND w.algorithm = k.algorithm`,
		`UPDATE fallback_keys SET used = $1 WHERE used = 0 AND (device, algorithm) IN (SELECT w.device, w.algorithm FROM want w)`, int64(1))
}

// claimGuards are, for each chunk of wants, a read and the update that takes what was read.
func claimGuards(wants []Want, into *Claim, read, take string, takeArgs ...any) []Guard {
	guards := []Guard{into.reset()}
	for len(wants) > 0 {
		chunk := wants[:min(claimChunk, len(wants))]
		wants = wants[len(chunk):]
		guards = append(guards,
			Guard{sql: wantList(1) + read, args: wantArgs(nil, chunk), want: anyRows, scan: into.scan},
			Guard{sql: wantList(1+len(takeArgs)) + take, args: wantArgs(takeArgs, chunk), want: anyRows})
	}
	return guards
}

// wantList is the common table expression "want" with parameters from $first on.
func wantList(first int) string {
	var sb strings.Builder
	sb.WriteString("WITH want (device, algorithm) AS (")
	for i := range claimChunk {
		if i > 0 {
			sb.WriteString(" UNION ")
		}
		sb.WriteString("SELECT CAST(" + param(first+2*i) + " AS BIGINT), CAST(" + param(first+2*i+1) + " AS TEXT)")
	}
	return sb.String() + ") "
}

func wantArgs(before []any, chunk []Want) []any {
	args := append([]any(nil), before...)
	for i := range claimChunk {
		w := chunk[min(i, len(chunk)-1)]
		args = append(args, w.Device, w.Algorithm)
	}
	return args
}

// PruneClaimedKeys forgets keys of a device that were handed out before an instant.
func PruneClaimedKeys(device, before int64) Guard {
	return Guard{sql: `DELETE FROM one_time_keys WHERE device = $1 AND claimed > 0 AND claimed < $2`,
		args: []any{device, before}, want: anyRows}
}

// param is the n-th parameter of a statement.
func param(n int) string { return "$" + strconv.Itoa(n) }

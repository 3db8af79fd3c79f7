package storage

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// insertMany puts n rows into a table whose columns are all given.
func (r *rig) insertMany(t *testing.T, table, columns string, n int, row func(i int64) []any) {
	t.Helper()
	for from := 0; from < n; from += prunePiece {
		c := &Change{}
		for i := from; i < min(from+prunePiece, n); i++ {
			args := row(int64(i))
			places := make([]string, len(args))
			for k := range args {
				places[k] = fmt.Sprint("$", k+1)
			}
			c.Guard(Guard{sql: `INSERT INTO ` + table + ` (` + columns + `) VALUES (` + strings.Join(places, ", ") + `)`, args: args, want: 1})
		}
		r.commit(t, c)
	}
}

// bitten is a clean-up of 1,200 rows, of which those below 1,100 are to go.
type bitten struct {
	table, columns string
	row            func(i int64) []any
	prune          func(ctx context.Context, db *DB) error
	left           int
}

func bittens() []bitten {
	body := []byte("{}")
	all := func(_ bool, err error) error { return err }
	room := func(table, columns string, row func(i int64) []any) bitten {
		return bitten{table, columns, row, func(ctx context.Context, db *DB) error { return db.PurgeRoom(ctx, 7, func() error { return nil }) }, 0}
	}
	return []bitten{
		{"spent_refresh", "hash, usr, device, spent", func(i int64) []any { return []any{fmt.Append(nil, i), i, i, i} },
			func(ctx context.Context, db *DB) error { return db.PruneExpired(ctx, 0, 1099) }, 100},
		{"person_tokens", "hash, purpose, usr, expires", func(i int64) []any { return []any{fmt.Append(nil, i), "", i, i} },
			func(ctx context.Context, db *DB) error { return db.PruneExpired(ctx, 1099, 0) }, 100},
		{"uia_sessions", "id, body, created", func(i int64) []any { return []any{fmt.Sprint(i), body, i} },
			func(ctx context.Context, db *DB) error { return db.PruneUIASessions(ctx, 1100) }, 100},
		{"sticky_events", "room, pos, event, expires", func(i int64) []any { return []any{i, i, i, i} },
			func(ctx context.Context, db *DB) error { return db.PruneSticky(ctx, 1099) }, 100},
		{"sliding_connections", "usr, device, conn, life, body, used", func(i int64) []any { return []any{i, i, "", i, body, i} },
			func(ctx context.Context, db *DB) error { return db.ExpireSliding(ctx, 1100) }, 100},
		{"media", "origin, id, tenant, usr, state, digest, size, type, name, created, expires, quarantined",
			func(i int64) []any {
				return []any{"", fmt.Sprint(i), int64(1), i, i % 2, body, int64(0), "", "", i, i, ""}
			},
			func(ctx context.Context, db *DB) error { return db.PruneExpiredMedia(ctx, 1099) }, 650},
		{"appservice_outbox", "pos, event, services", func(i int64) []any { return []any{i, i, body} },
			func(ctx context.Context, db *DB) error { return all(db.PruneAppserviceOutbox(ctx, 1099)) }, 100},
		{"outbox", "pos, part, event, room, origin, targets, extra, edu, body", func(i int64) []any { return []any{i, 0, i, 1, "", body, "", "", body} },
			func(ctx context.Context, db *DB) error { return all(db.PruneOutbox(ctx, 1099)) }, 100},
		{"pusher_progress", "pusher, behind, since, retry, success, reason", func(i int64) []any { return []any{i, 0, 0, 0, 0, ""} },
			func(ctx context.Context, db *DB) error { return db.PrunePusherProgress(ctx) }, 0},
		{"ledger_index", "key, block", func(i int64) []any { return []any{fmt.Append(nil, i*7919%1200), i} },
			func(ctx context.Context, db *DB) error { return db.PruneLedgerIndex(ctx, 1100) }, 100},
		room("state_rows", "room, branch, skey, seq, event, old, pos", func(i int64) []any { return []any{7, 0, i, 1, i, 0, i} }),
		room("receipts", "room, usr, type, thread, event_id, event_pos, notify, tnotify, ts, pos",
			func(i int64) []any { return []any{7, i, "m.read", "", "", i, 0, 0, 0, 0} }),
		room("memberships", "usr, room, membership, event, pos, forgotten", func(i int64) []any { return []any{i, 7, 1, i, i, 0} }),
		room("account_data", "usr, room, type, content, pos", func(i int64) []any { return []any{i, 7, "m.tag", body, i} }),
		{"key_backup_sessions", "usr, version, room_id, session_id, verified, first_index, forwarded, body",
			func(i int64) []any {
				return []any{7 + i/1150, 1 + i/1100, fmt.Sprint("!", i%7), fmt.Sprint(i), 0, 0, 0, body}
			},
			func(ctx context.Context, db *DB) error {
				c := &Change{}
				for _, deleted := range []int64{1, 0} {
					c.Guard(Guard{sql: `INSERT INTO key_backups (usr, version, algorithm, auth_data, etag, deleted) VALUES (7, $1, '', $2, 0, $3)`,
						args: []any{2 - deleted, body, deleted}, want: 1})
				}
				if err := db.Commit(ctx, c); err != nil {
					return err
				}
				return db.PruneKeyBackups(ctx, 7)
			}, 100},
		{"memberships", "usr, room, membership, event, pos, forgotten", func(i int64) []any { return []any{i, 8, i % 5, i, i, 0} },
			func(ctx context.Context, db *DB) error {
				c := &Change{}
				c.Guard(Guard{sql: `INSERT INTO gone_rooms (nid, room_id, ts) VALUES (8, '!8', 1)`, want: 1})
				if err := db.Commit(ctx, c); err != nil {
					return err
				}
				return db.PruneGoneRooms(ctx, 2)
			}, 0},
	}
}

// What is cleaned up now and then goes in bites, so that nobody who writes waits behind the whole.
func TestCleanUpsGoInBites(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		f := &faults{}
		r := openRig(t, Options{URL: url, wrap: f.wrap})
		for _, b := range bittens() {
			r.insertMany(t, b.table, b.columns, 1200, b.row)
			f.deleted.Store(0)
			if err := b.prune(t.Context(), r.DB); err != nil {
				t.Errorf("%s: %v", b.table, err)
			}
			var left int
			if err := r.row(t.Context(), `SELECT COUNT(*) FROM `+b.table, nil, &left); err != nil {
				t.Fatal(err)
			}
			if left != b.left || f.deleted.Load() == 0 {
				t.Errorf("%s: %d rows are left, want %d", b.table, left, b.left)
			}
			if n := f.deleted.Load(); n > prunePiece {
				t.Errorf("%s: one statement deleted %d rows, at most %d should go at once", b.table, n, prunePiece)
			}
			r.sql(t, `DELETE FROM `+b.table)
		}
	})
}

// A worker that has other things to do takes so many bites and comes back for the rest.
func TestAnOutboxIsForgottenBitByBit(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		const rows = prunePiece*bitesAtOnce + 10
		r.insertMany(t, "outbox", "pos, part, event, room, origin, targets, extra, edu, body", rows, func(i int64) []any {
			return []any{i, 0, i, 1, "", []byte{}, "", "", []byte{}}
		})
		for _, want := range []bool{false, true} {
			if done, err := r.PruneOutbox(t.Context(), rows); done != want || err != nil {
				t.Errorf("done %v (%v), want %v", done, err, want)
			}
		}
	})
}

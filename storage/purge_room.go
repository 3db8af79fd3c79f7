package storage

import (
	"context"
	"strings"

	"rempart/internal/matrix"
)

// purgeStep bounds how many events of a room one transaction deletes.
const purgeStep = 256

// CloseRoom forgets, at an instant, that a room is known: from now on nobody finds it. What is left of it is deleted by [DB.PurgeRoom].
func CloseRoom(room, now int64) []Guard {
	out := []Guard{}
	for _, text := range []string{
		`INSERT INTO gone_rooms (nid, room_id, ts) SELECT nid, room_id, CAST($2 AS BIGINT) FROM rooms WHERE nid = $1 ON CONFLICT DO NOTHING`,
		`DELETE FROM rooms WHERE nid = $1`,
		`DELETE FROM aliases WHERE room = $1`,
		`DELETE FROM outside_rooms WHERE room = $1`,
		`DELETE FROM inbox WHERE room = $1`,
		`DELETE FROM closures WHERE room = $1`,
		`DELETE FROM held_events WHERE room = $1`,
		`DELETE FROM notice_rooms WHERE room = $1`,
		`DELETE FROM delayed_sent WHERE delayed IN (SELECT nid FROM delayed_events WHERE room = $1)`,
		`DELETE FROM delayed_events WHERE room = $1`,
		`DELETE FROM room_lists WHERE usr IN (SELECT usr FROM memberships WHERE room = $1)`,
	} {
		args := []any{room, now}
		if !strings.Contains(text, "$2") {
			args = args[:1]
		}
		out = append(out, Guard{sql: text, args: args, want: anyRows})
	}
	return out
}

// FindGoneRoom is the id of a room that was removed; ErrNotFound when there was none, or it is long ago.
func (db *DB) FindGoneRoom(ctx context.Context, nid int64) (id matrix.RoomID, err error) {
	err = db.row(ctx, `SELECT room_id FROM gone_rooms WHERE nid = $1`, []any{nid}, &id)
	return id, err
}

// DeleteGoneRooms forgets rooms that were removed before a time, and who was in them.
func DeleteGoneRooms(before int64) []Guard {
	return []Guard{
		{sql: `DELETE FROM memberships WHERE room IN (SELECT nid FROM gone_rooms WHERE ts < $1)`, args: []any{before}, want: anyRows},
		{sql: `DELETE FROM gone_rooms WHERE ts < $1`, args: []any{before}, want: anyRows},
	}
}

// PurgeRoom deletes all that is left of a room, in pieces; done is called after each. It may be repeated.
func (db *DB) PurgeRoom(ctx context.Context, room int64, done func() error) error {
	for {
		nids, err := db.numbers(ctx, `SELECT nid FROM events WHERE room = $1 LIMIT $2`, room, int64(purgeStep))
		if err != nil {
			return err
		}
		if len(nids) == 0 {
			break
		}
		c := &Change{}
		for _, text := range []string{
			`DELETE FROM event_json WHERE nid IN`, `DELETE FROM transactions WHERE event IN`, `DELETE FROM relations WHERE event IN`,
			`DELETE FROM appservice_outbox WHERE event IN`, `DELETE FROM delayed_sent WHERE event IN`, `DELETE FROM events WHERE nid IN`,
		} {
			sql, args := db.inList(text, nids, ``, nil)
			c.Guard(Guard{sql: sql, args: args, want: anyRows})
		}
		if err := db.Commit(ctx, c); err != nil {
			return err
		}
		if err := done(); err != nil {
			return err
		}
	}
	c := &Change{}
	for _, table := range []string{
		"search_docs", "state_rows", "checkpoints", "branches", "chain_links", "pending_redactions", "receipts", "push_hits",
		"account_data", "outbox", "relations", "state_floors", "network_rooms", "thread_subscriptions", "sticky_events", "sticky_waiting",
		"state_resets",
	} {
		c.Guard(Guard{sql: `DELETE FROM ` + table + ` WHERE room = $1`, args: []any{room}, want: anyRows})
	}
	c.Guard(Guard{sql: `DELETE FROM memberships WHERE room = $1 AND usr NOT IN (SELECT nid FROM users)`, args: []any{room}, want: anyRows})
	return db.Commit(ctx, c)
}

package storage

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"rempart/internal/matrix"
)

// purgeStep bounds how many events of a room one transaction deletes.
const purgeStep = 100

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

// PruneGoneRooms forgets rooms that were removed before a time, and who was in them, in bites.
func (db *DB) PruneGoneRooms(ctx context.Context, before int64) error {
	gone, err := db.numbers(ctx, `SELECT nid FROM gone_rooms WHERE ts < $1`, before)
	if err != nil {
		return err
	}
	for _, room := range gone {
		if err := db.eatRoom(ctx, "memberships", "membership", "usr", room); err != nil {
			return err
		}
	}
	return db.eatEach(ctx, `DELETE FROM gone_rooms WHERE nid IN`, gone)
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
		if err := db.Commit(ctx, db.deleteEvents(nids)); err != nil {
			return err
		}
		if err := done(); err != nil {
			return err
		}
	}
	for _, t := range []struct{ table, first, second string }{
		{"state_rows", "branch", "skey"}, {"checkpoints", "branch", "seq"}, {"branches", "branch", "base_branch"}, {"chain_links", "chain", "seq"},
		{"pending_redactions", "target", "redaction"}, {"receipts", "usr", "type"}, {"push_hits", "pos", "usr"}, {"sticky_events", "pos", "event"},
		{"sticky_waiting", "sender", "event"}, {"state_resets", "pos", "state_key"}, {"state_floors", "seq", "seq"},
	} {
		if err := db.eatRoom(ctx, t.table, t.first, t.second, room); err != nil {
			return err
		}
	}
	strangers, err := db.numbers(ctx, `SELECT m.usr FROM memberships m WHERE m.room = $1 AND NOT EXISTS (SELECT 1 FROM users u WHERE u.nid = m.usr)`, room)
	if err == nil {
		err = db.eatEach(ctx, `DELETE FROM memberships WHERE room = $1 AND usr IN`, strangers, room)
	}
	if err != nil {
		return err
	}
	return db.purgeByReader(ctx, room)
}

// deleteEvents deletes events by their numbers, with all that hangs on them.
func (db *DB) deleteEvents(nids []int64) *Change {
	c := &Change{}
	for _, d := range []struct{ text, after string }{
		{`DELETE FROM event_json WHERE nid IN`, ``}, {`DELETE FROM transactions WHERE event IN`, ``}, {`DELETE FROM relations WHERE event IN`, ``},
		{`DELETE FROM appservice_outbox WHERE (pos, event) IN (SELECT pos, nid FROM events WHERE nid IN`, `)`},
		{`DELETE FROM search_docs WHERE id IN (SELECT CASE WHEN pos > 0 THEN pos ELSE nid + (` + strconv.Itoa(historyBase) + `) END FROM events WHERE nid IN`, `)`},
		{`DELETE FROM delayed_sent WHERE event IN`, ``}, {`DELETE FROM events WHERE nid IN`, ``},
	} {
		sql, args := db.inList(d.text, nids, d.after, nil)
		c.Guard(Guard{sql: sql, args: args, want: anyRows})
	}
	return c
}

// purgeByReader deletes a room's rows of tables that have no index by room. Why a reader looks for them: the writer would be held while
// it walks all rows of the installation.
func (db *DB) purgeByReader(ctx context.Context, room int64) error {
	for _, t := range []struct{ table, key string }{
		{"account_data", "usr"}, {"outbox", "pos"}, {"relations", "target"}, {"network_rooms", "room"}, {"thread_subscriptions", "usr"},
	} {
		keys, err := db.numbers(ctx, `SELECT DISTINCT `+t.key+` FROM `+t.table+` WHERE room = $1`, room)
		if err == nil {
			err = db.eatEach(ctx, `DELETE FROM `+t.table+` WHERE room = $1 AND `+t.key+` IN`, keys, room)
		}
		if err != nil {
			return fmt.Errorf("purge %s: %w", t.table, err)
		}
	}
	return nil
}

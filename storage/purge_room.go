package storage

import "context"

// purgeStep bounds how many events of a room one transaction deletes.
const purgeStep = 256

// CloseRoom forgets that a room is known: from now on nobody finds it. What is left of it is deleted by [DB.PurgeRoom].
func CloseRoom(room int64) []Guard {
	var out []Guard
	for _, text := range []string{
		`DELETE FROM rooms WHERE nid = $1`,
		`DELETE FROM aliases WHERE room = $1`,
		`DELETE FROM outside_rooms WHERE room = $1`,
		`DELETE FROM inbox WHERE room = $1`,
		`DELETE FROM notice_rooms WHERE room = $1`,
	} {
		out = append(out, Guard{sql: text, args: []any{room}, want: anyRows})
	}
	return out
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
			`DELETE FROM events WHERE nid IN`,
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
		"account_data", "memberships", "outbox",
	} {
		c.Guard(Guard{sql: `DELETE FROM ` + table + ` WHERE room = $1`, args: []any{room}, want: anyRows})
	}
	return db.Commit(ctx, c)
}

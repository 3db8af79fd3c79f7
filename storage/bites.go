package storage

import (
	"context"
	"errors"
)

// Clean-ups go in bites of [prunePiece] rows: what goes next is found by a reader, and each bite is a Change of its own, so that a message
// waits behind one bite and not behind the whole. Why not by LIMIT: PostgreSQL has none for DELETE, nor has SQLite as it is built here.

// bitesAtOnce is how many bites a worker takes that has other things to do.
const bitesAtOnce = 20

// bite is a table whose rows go from the smallest value of a column on. An index begins with the column, or holds the rows of where in its order.
type bite struct {
	table, column string
	// where is a condition, with "AND" behind it, or "".
	where string
}

// eat deletes the rows whose column is at most upto and returns whether all went: most bounds how many bites are taken, 0 is all.
func (db *DB) eat(ctx context.Context, b bite, upto int64, most int) (all bool, err error) {
	for n := 0; most == 0 || n < most; n++ {
		var last, count int64
		err := db.row(ctx, `SELECT COALESCE(MAX(x), 0), COUNT(*) FROM (SELECT `+b.column+` AS x FROM `+b.table+` WHERE `+b.where+b.column+` <= $1
			ORDER BY `+b.column+` LIMIT $2) AS oldest`, []any{upto, int64(prunePiece)}, &last, &count)
		if err != nil || count == 0 {
			return err == nil, err
		}
		c := &Change{}
		c.Guard(Guard{sql: `DELETE FROM ` + b.table + ` WHERE ` + b.where + b.column + ` <= $1`, args: []any{last}, want: anyRows})
		if err := db.Commit(ctx, c); err != nil {
			return false, err
		}
		if count < prunePiece {
			return true, nil
		}
	}
	return false, nil
}

// eatAll deletes what is at most upto from each of some tables.
func (db *DB) eatAll(ctx context.Context, upto int64, tables ...bite) error {
	for _, b := range tables {
		if _, err := db.eat(ctx, b, upto, 0); err != nil {
			return err
		}
	}
	return nil
}

// eatRoom deletes the rows of a room from a table that has an index by room and then by two more columns.
func (db *DB) eatRoom(ctx context.Context, table, first, second string, room int64) error {
	for over := false; !over; {
		var a, b any
		err := db.row(ctx, `SELECT `+first+`, `+second+` FROM `+table+` WHERE room = $1 ORDER BY `+first+`, `+second+` LIMIT 1 OFFSET $2`,
			[]any{room, int64(prunePiece - 1)}, &a, &b)
		over = errors.Is(err, ErrNotFound)
		if err != nil && !over {
			return err
		}
		g := Guard{sql: `DELETE FROM ` + table + ` WHERE room = $1`, args: []any{room}, want: anyRows}
		if !over {
			g.sql, g.args = g.sql+` AND (`+first+`, `+second+`) <= ($2, $3)`, append(g.args, a, b)
		}
		c := &Change{}
		c.Guard(g)
		if err := db.Commit(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// eatEach deletes in bites the rows whose number a reader lists: text ends in "IN", args stand before the list.
func (db *DB) eatEach(ctx context.Context, text string, nids []int64, args ...any) error {
	for len(nids) > 0 {
		n := min(len(nids), prunePiece)
		sql, all := db.inList(text, nids[:n], ``, args)
		c := &Change{}
		c.Guard(Guard{sql: sql, args: all, want: anyRows})
		if err := db.Commit(ctx, c); err != nil {
			return err
		}
		nids = nids[n:]
	}
	return nil
}

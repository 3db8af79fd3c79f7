package storage

import (
	"context"
	"database/sql"
	"slices"
)

// purgePiece bounds how many events one transaction of a purge deletes, so that live writes never wait for long.
const purgePiece = 500

// PurgeMessages deletes the message events of a room with position < before, except those to keep, in pieces; done is
// told the numbers of each piece. State events stay: they are the room's structure; with foreign set, so does what our
// own users wrote. It returns how many were deleted.
func (db *DB) PurgeMessages(ctx context.Context, room, before int64, keep []int64, foreign bool, done func(nids []int64)) (int, error) {
	total, after := 0, int64(0)
	for {
		piece, err := db.purgePiece(ctx, room, after, before, foreign)
		if err != nil || len(piece) == 0 {
			return total, err
		}
		if slices.Contains(keep, piece[0].nid) {
			after = piece[0].pos
			continue
		}
		if i := slices.IndexFunc(piece, func(e purged) bool { return slices.Contains(keep, e.nid) }); i > 0 {
			piece = piece[:i]
		}
		last := piece[len(piece)-1].pos
		if err := db.Commit(ctx, purgeChange(room, after, last, foreign)); err != nil {
			return total, err
		}
		nids := make([]int64, len(piece))
		for i, e := range piece {
			nids[i] = e.nid
		}
		done(nids)
		total, after = total+len(piece), last
	}
}

type purged struct{ nid, pos int64 }

func (db *DB) purgePiece(ctx context.Context, room, after, before int64, foreign bool) ([]purged, error) {
	var out []purged
	err := db.each(ctx, `SELECT nid, pos FROM events WHERE room = $1 AND pos > $2 AND pos < $3 AND skey = 0`+strangers(foreign)+`
		ORDER BY pos LIMIT $4`, []any{room, after, before, int64(purgePiece)}, func(r *sql.Rows) error {
		var e purged
		err := r.Scan(&e.nid, &e.pos)
		out = append(out, e)
		return err
	})
	return out, err
}

// purgeChange deletes the message events with after < position ≤ upto and all that hangs on them.
func purgeChange(room, after, upto int64, foreign bool) *Change {
	which := `room = $1 AND pos > $2 AND pos <= $3 AND skey = 0` + strangers(foreign)
	those := ` IN (SELECT nid FROM events WHERE ` + which + `)`
	args := []any{room, after, upto}
	c := &Change{}
	for _, text := range []string{
		`DELETE FROM event_json WHERE nid` + those,
		`DELETE FROM transactions WHERE event` + those,
		`DELETE FROM relations WHERE event` + those,
		`DELETE FROM search_docs WHERE id > $2 AND id <= $3 AND room = $1 AND field = 0 AND event` + those,
		`DELETE FROM events WHERE ` + which,
	} {
		c.Guard(Guard{sql: text, args: args, want: anyRows})
	}
	return c
}

// strangers is the condition that an event is of another server's user, if it is asked for.
func strangers(foreign bool) string {
	if !foreign {
		return ``
	}
	return ` AND NOT EXISTS (SELECT 1 FROM users u WHERE u.nid = events.sender)`
}

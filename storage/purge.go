package storage

import (
	"context"
	"slices"
)

// purgePiece bounds how many events one transaction of a purge deletes, so that live writes never wait for long.
const purgePiece = 500

// PurgeMessages deletes message events of a room with position < before, except heads, in pieces. State events stay:
// they are the room's structure. It returns how many were deleted.
func (db *DB) PurgeMessages(ctx context.Context, room, before int64, keep []int64) (int, error) {
	total := 0
	for {
		nids, err := db.listNIDs(ctx, `SELECT nid FROM events WHERE room = $1 AND pos > 0 AND pos < $2 AND skey = 0
			ORDER BY pos LIMIT $3`, room, before, int64(purgePiece+len(keep)))
		if err != nil {
			return total, err
		}
		c := &Change{}
		for _, nid := range nids {
			if len(c.Guards) < 3*purgePiece && !slices.Contains(keep, nid) {
				c.Guard(
					Guard{sql: `DELETE FROM event_json WHERE nid = $1`, args: []any{nid}, want: anyRows},
					Guard{sql: `DELETE FROM transactions WHERE event = $1`, args: []any{nid}, want: anyRows},
					Guard{sql: `DELETE FROM events WHERE nid = $1`, args: []any{nid}, want: anyRows})
			}
		}
		if len(c.Guards) == 0 {
			return total, nil
		}
		if err := db.Commit(ctx, c); err != nil {
			return total, err
		}
		total += len(c.Guards) / 3
	}
}

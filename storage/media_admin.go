package storage

import (
	"context"

	"rempart/internal/matrix"
)

// QuarantineMedia locks an address away, or with "" gives it back; it fails when there is no such address.
func QuarantineMedia(origin matrix.ServerName, id, by string) Guard {
	return Guard{sql: `UPDATE media SET quarantined = $3 WHERE origin = $1 AND id = $2`, args: []any{string(origin), id, by}, want: 1}
}

// DeleteMedia forgets an address. Its content goes when nothing else refers to it.
func DeleteMedia(origin matrix.ServerName, id string) Guard {
	return Guard{sql: `DELETE FROM media WHERE origin = $1 AND id = $2`, args: []any{string(origin), id}, want: 1}
}

// ListMediaOf lists what a user has uploaded, newest first, older than an instant (0: from the newest).
func (db *DB) ListMediaOf(ctx context.Context, user, before int64, limit int) ([]Media, error) {
	if before == 0 {
		before = 1 << 62
	}
	return db.listMedia(ctx, `SELECT `+mediaColumns+` FROM media WHERE usr = $1 AND created < $2 ORDER BY created DESC, id LIMIT $3`,
		user, before, int64(limit))
}

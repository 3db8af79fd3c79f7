package storage

import (
	"context"
	"database/sql"
)

// InsertFilter stores a filter under the user's next number; id receives it, or that of the same filter stored before.
func InsertFilter(user, hash int64, body []byte, id *int64) []Guard {
	return []Guard{
		{
			sql: `INSERT INTO filters (usr, id, hash, body)
				SELECT $1, (SELECT COALESCE(MAX(f.id), 0) + 1 FROM filters f WHERE f.usr = $1), $2, $3
				WHERE NOT EXISTS (SELECT 1 FROM filters f WHERE f.usr = $1 AND f.hash = $2 AND f.body = $3)`,
			args: []any{user, hash, body}, want: anyRows,
		},
		{
			sql:  `SELECT id FROM filters WHERE usr = $1 AND hash = $2 AND body = $3`,
			args: []any{user, hash, body}, want: someRows,
			scan: func(r *sql.Rows) error { return r.Scan(id) },
		},
	}
}

// TrimFilters keeps the newest filters of a user.
func TrimFilters(user int64, keep int64) Guard {
	return Guard{sql: `DELETE FROM filters WHERE usr = $1 AND id <= (SELECT COALESCE(MAX(f.id), 0) FROM filters f WHERE f.usr = $1) - $2`,
		args: []any{user, keep}, want: anyRows}
}

// FindFilter reads a stored filter; ErrNotFound when there is none.
func (db *DB) FindFilter(ctx context.Context, user, id int64) (body []byte, err error) {
	err = db.row(ctx, `SELECT body FROM filters WHERE usr = $1 AND id = $2`, []any{user, id}, &body)
	return body, err
}

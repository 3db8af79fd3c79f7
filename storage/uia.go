package storage

import "context"

// UIASessionRow sets the state of a user-interactive authentication.
type UIASessionRow struct {
	ID      string
	Body    []byte
	Created int64
}

var uiaTable = newTable("uia_sessions", "id:t body:b created:i", 1, "update")

func (*UIASessionRow) table() *table          { return uiaTable }
func (r *UIASessionRow) args(dst []any) []any { return append(dst, r.ID, r.Body, r.Created) }

// FindUIASession reads the state of a user-interactive authentication; ErrNotFound when there is none.
func (db *DB) FindUIASession(ctx context.Context, id string) (body []byte, err error) {
	err = db.row(ctx, `SELECT body FROM uia_sessions WHERE id = $1`, []any{id}, &body)
	return body, err
}

// DeleteUIASession ends a user-interactive authentication; it fails when it has ended already.
func DeleteUIASession(id string) Guard {
	return Guard{sql: `DELETE FROM uia_sessions WHERE id = $1`, args: []any{id}, want: 1}
}

// PruneUIASessions forgets those begun before an instant, in bites.
func (db *DB) PruneUIASessions(ctx context.Context, before int64) error {
	return db.eatAll(ctx, before-1, bite{table: "uia_sessions", column: "created"})
}

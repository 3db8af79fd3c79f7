package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Alias is a room alias of one of our server names.
type Alias struct {
	Alias   matrix.RoomAlias
	Room    int64
	Creator int64 // user number
	Tenant  int64
}

// InsertAlias is the guard that takes an alias; it does not hold when the alias is taken.
func InsertAlias(a Alias) Guard {
	return Guard{sql: `INSERT INTO aliases (alias, room, creator, tenant, ts) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		args: []any{string(a.Alias), a.Room, a.Creator, a.Tenant, nowMS()}, want: 1}
}

// DeleteAlias is the guard that gives an alias up; it does not hold when there is none.
func DeleteAlias(alias matrix.RoomAlias) Guard {
	return Guard{sql: `DELETE FROM aliases WHERE alias = $1`, args: []any{string(alias)}, want: 1}
}

// FindAlias is the alias's row, or ErrNotFound.
func (db *DB) FindAlias(ctx context.Context, alias matrix.RoomAlias) (Alias, error) {
	a := Alias{Alias: alias}
	err := db.row(ctx, `SELECT room, creator, tenant FROM aliases WHERE alias = $1`, []any{string(alias)}, &a.Room, &a.Creator, &a.Tenant)
	return a, err
}

// ListAliases lists the aliases of a room, sorted.
func (db *DB) ListAliases(ctx context.Context, room int64) ([]matrix.RoomAlias, error) {
	out := []matrix.RoomAlias{}
	err := db.each(ctx, `SELECT alias FROM aliases WHERE room = $1 ORDER BY alias`, []any{room}, func(r *sql.Rows) error {
		var a matrix.RoomAlias
		err := r.Scan(&a)
		out = append(out, a)
		return err
	})
	return out, err
}

// MoveAliases is the guard that gives all aliases of a room to another.
func MoveAliases(from, to int64) Guard {
	return Guard{sql: `UPDATE aliases SET room = $2 WHERE room = $1`, args: []any{from, to}, want: anyRows}
}

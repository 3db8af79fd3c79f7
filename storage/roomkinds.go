package storage

import (
	"context"
	"database/sql"
)

// RoomKind is the type of a room as it is stored: "-" for none, "" where nobody has looked yet.
type RoomKind string

// KindOf is how a type is stored.
func KindOf(typ string) RoomKind {
	if typ == "" {
		return noKind
	}
	return RoomKind(typ)
}

const noKind RoomKind = "-"

// Type is the type behind a kind; "" for none.
func (k RoomKind) Type() string {
	if k == noKind {
		return ""
	}
	return string(k)
}

// ListRoomKinds lists those of the rooms that a user is in which have a type, or of which it is not known.
func (db *DB) ListRoomKinds(ctx context.Context, user int64) (map[int64]RoomKind, error) {
	out := map[int64]RoomKind{}
	err := db.each(ctx, `SELECT r.nid, r.kind FROM memberships m JOIN rooms r ON r.nid = m.room
		WHERE m.usr = $1 AND m.membership = $2 AND r.kind <> $3`, []any{user, int64(MemberJoin), string(noKind)}, func(r *sql.Rows) error {
		var room int64
		var kind RoomKind
		err := r.Scan(&room, &kind)
		out[room] = kind
		return err
	})
	return out, err
}

// SetRoomKind notes the type of a room of which it was not known.
func SetRoomKind(room int64, kind RoomKind) Guard {
	return Guard{sql: `UPDATE rooms SET kind = $2 WHERE nid = $1 AND kind = ''`, args: []any{room, string(kind)}, want: anyRows}
}

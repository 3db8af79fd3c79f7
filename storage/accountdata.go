package storage

import (
	"context"
	"database/sql"
)

// AccountData is a piece of a user's own data, global (Room 0) or for one room.
type AccountData struct {
	Room    int64
	Type    string
	Content []byte // JSON object
	Pos     int64
}

// AccountDataRow sets a piece of account data. Its Live entry is one of KindAccountData.
type AccountDataRow struct {
	At
	User, Room int64
	Type       string
	Content    []byte
}

var accountDataTable = newTable("account_data", "usr:i room:i type:t content:b pos:i", 3, "update")

func (*AccountDataRow) table() *table { return accountDataTable }
func (r *AccountDataRow) args(dst []any) []any {
	return append(dst, r.User, r.Room, r.Type, r.Content, r.Pos)
}

// AccountDataIs holds while a piece of account data has this content; nil means that there is none.
func AccountDataIs(user, room int64, typ string, content []byte) Guard {
	ignore := func(*sql.Rows) error { return nil }
	if content == nil {
		return Guard{sql: `SELECT 1 FROM account_data WHERE usr = $1 AND room = $2 AND type = $3`,
			args: []any{user, room, typ}, want: 0, scan: ignore}
	}
	return Guard{sql: `SELECT 1 FROM account_data WHERE usr = $1 AND room = $2 AND type = $3 AND content = $4`,
		args: []any{user, room, typ, content}, want: 1, scan: ignore}
}

// FindAccountData reads one piece; room 0 is global. ErrNotFound when there is none.
func (db *DB) FindAccountData(ctx context.Context, user, room int64, typ string) (AccountData, error) {
	d := AccountData{Room: room, Type: typ}
	err := db.row(ctx, `SELECT content, pos FROM account_data WHERE usr = $1 AND room = $2 AND type = $3`,
		[]any{user, room, typ}, &d.Content, &d.Pos)
	return d, err
}

// ListAccountData lists what of a user's data, global and of all rooms, was set in (after, upto], by position.
func (db *DB) ListAccountData(ctx context.Context, user, after, upto int64) ([]AccountData, error) {
	return db.accountData(ctx, `SELECT room, type, content, pos FROM account_data
		WHERE usr = $1 AND pos > $2 AND pos <= $3 ORDER BY pos`, user, after, upto)
}

// ListRoomAccountData lists a user's data for one room (0: the global ones).
func (db *DB) ListRoomAccountData(ctx context.Context, user, room int64) ([]AccountData, error) {
	return db.accountData(ctx, `SELECT room, type, content, pos FROM account_data WHERE usr = $1 AND room = $2 ORDER BY type`, user, room)
}

// ListAccountDataIn lists a user's data for each of some rooms.
func (db *DB) ListAccountDataIn(ctx context.Context, user int64, rooms []int64) (map[int64][]AccountData, error) {
	out := make(map[int64][]AccountData, len(rooms))
	err := db.eachIn(ctx, `SELECT room, type, content, pos FROM account_data WHERE usr = $1 AND room IN`, rooms, ` ORDER BY room, type`,
		func(r *sql.Rows) error {
			var d AccountData
			err := r.Scan(&d.Room, &d.Type, &d.Content, &d.Pos)
			out[d.Room] = append(out[d.Room], d)
			return err
		}, user)
	return out, err
}

func (db *DB) accountData(ctx context.Context, text string, args ...any) ([]AccountData, error) {
	var out []AccountData
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var d AccountData
		err := r.Scan(&d.Room, &d.Type, &d.Content, &d.Pos)
		out = append(out, d)
		return err
	})
	return out, err
}

// DeleteUserData removes all account data of a user: he has closed his account.
func DeleteUserData(user int64) Guard {
	return Guard{sql: `DELETE FROM account_data WHERE usr = $1`, args: []any{user}, want: anyRows}
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// UserFlag marks what an account is. The numbers are stored: never renumber.
type UserFlag int64

// The flags of an account.
const (
	UserAdmin        UserFlag = 1 << iota // may use the admin API
	UserDeactivated                       // closed for ever; the name is not given again
	UserGuest                             // has the few rights of a guest
	UserLocked                            // may do nothing but log out
	UserSuspended                         // may read and leave, not write
	UserExpired                           // its time has run out; may do nothing until it is renewed
	UserErased                            // closed, and its owner wants what he wrote to be shown to nobody new
	UserShadowBanned                      // what it writes is answered as if it were sent, and reaches nobody
)

// User is a local account.
type User struct {
	NID, Tenant            int64
	ID                     matrix.UserID
	Password               string // PHC string, "" for none
	Flags                  UserFlag
	Created                int64
	DisplayName, AvatarURL string
	Appservice             string // id of the application service that owns the account, if one does
}

// Is reports whether the account has all of some flags.
func (u *User) Is(f UserFlag) bool { return u.Flags.Has(f) }

// InsertUser adds an account; its number must be that of the interned user id. It fails when the account exists.
func InsertUser(u User) Guard {
	return Guard{
		sql: `INSERT INTO users (nid, tenant, password, flags, created, display_name, avatar_url, appservice,
			id_words, name_words) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (nid) DO NOTHING`,
		args: []any{u.NID, u.Tenant, u.Password, int64(u.Flags), u.Created, u.DisplayName, u.AvatarURL, u.Appservice,
			directoryWords(u.ID.Localpart()), directoryWords(u.DisplayName)},
		want: 1,
	}
}

// UpdatePassword replaces an account's password hash.
func UpdatePassword(user int64, phc string) Guard {
	return Guard{sql: `UPDATE users SET password = $2 WHERE nid = $1`, args: []any{user, phc}, want: 1}
}

// UpdatePasswordFrom replaces a password hash if it still is the old one.
func UpdatePasswordFrom(user int64, old, phc string) Guard {
	return Guard{sql: `UPDATE users SET password = $3 WHERE nid = $1 AND password = $2`, args: []any{user, old, phc}, want: 1}
}

// UpdateUserFlags sets some flags of an account and clears others. Its Change carries an entry of KindSession, since
// sessions are kept in memory with the flags of their users.
func UpdateUserFlags(user int64, set, unset UserFlag) Guard {
	return Guard{sql: `UPDATE users SET flags = (flags | $2) & ~CAST($3 AS BIGINT) WHERE nid = $1`,
		args: []any{user, int64(set), int64(unset)}, want: 1}
}

const userColumns = `u.nid, u.tenant, i.user_id, u.password, u.flags, u.created, u.display_name, u.avatar_url, u.appservice`

func (u *User) dest() []any {
	return []any{&u.NID, &u.Tenant, &u.ID, &u.Password, &u.Flags, &u.Created, &u.DisplayName, &u.AvatarURL, &u.Appservice}
}

// GetUser reads a local account by number; ErrNotFound when there is none.
func (db *DB) GetUser(ctx context.Context, nid int64) (User, error) {
	var u User
	err := db.row(ctx, `SELECT `+userColumns+` FROM users u JOIN user_ids i ON i.nid = u.nid WHERE u.nid = $1`, []any{nid}, u.dest()...)
	return u, err
}

// FindUser reads a local account by its user id; ErrNotFound when there is none.
func (db *DB) FindUser(ctx context.Context, id matrix.UserID) (User, error) {
	var u User
	err := db.row(ctx, `SELECT `+userColumns+` FROM user_ids i JOIN users u ON u.nid = i.nid WHERE i.user_id = $1`,
		[]any{string(id)}, u.dest()...)
	return u, err
}

// ListJoinedRooms lists the numbers of the rooms that a user is joined to.
func (db *DB) ListJoinedRooms(ctx context.Context, user int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT room FROM memberships WHERE usr = $1 AND membership = 1 ORDER BY room`, user)
}

// numbers reads one column of numbers.
func (db *DB) numbers(ctx context.Context, text string, args ...any) ([]int64, error) {
	var out []int64
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var n int64
		err := r.Scan(&n)
		out = append(out, n)
		return err
	})
	return out, err
}

// Has reports whether all of some flags are set.
func (f UserFlag) Has(some UserFlag) bool { return f&some == some }

// UserStill holds while an account is open and has this password hash.
func UserStill(user int64, password string) Guard {
	return Guard{sql: `SELECT 1 FROM users WHERE nid = $1 AND password = $2 AND flags & 2 = 0`,
		args: []any{user, password}, want: 1, scan: func(*sql.Rows) error { return nil }}
}

// ListUsers lists accounts of all tenants by id, after one, whose id holds a text.
func (db *DB) ListUsers(ctx context.Context, after matrix.UserID, like string, limit int) ([]User, error) {
	var out []User
	err := db.each(ctx, `SELECT `+userColumns+` FROM users u JOIN user_ids i ON i.nid = u.nid
		WHERE i.user_id > $1 AND LOWER(i.user_id) LIKE $2 ESCAPE '\' ORDER BY i.user_id LIMIT $3`,
		[]any{string(after), "%" + like + "%", int64(limit)}, func(r *sql.Rows) error {
			var u User
			err := r.Scan(u.dest()...)
			out = append(out, u)
			return err
		})
	return out, err
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// UserQuery chooses local accounts for an administrator's list.
type UserQuery struct {
	Tenant int64
	// IDLike and NameLike are LIKE patterns in lower case (escape \): of the whole id, and of localpart or display name.
	IDLike, NameLike string
	// Of the flags in Mask, those in Want must be set and the others must not.
	Mask, Want UserFlag
	// NotTypes is a list of user types to leave out, with a comma before and after each; "" leaves out none.
	NotTypes string
	// Order is one of the keys of [UserOrders].
	Order         string
	Backward      bool
	Offset, Limit int64
}

// UserOrders are the orders of a list of users.
func UserOrders() map[string]string {
	return map[string]string{
		"name": `i.user_id`, "user_type": `u.user_type`, "displayname": `u.display_name`, "avatar_url": `u.avatar_url`,
		"creation_ts": `u.created`, "last_seen_ts": `8`, "is_guest": `u.flags & 4`, "admin": `u.flags & 1`,
		"deactivated": `u.flags & 2`, "shadow_banned": `u.flags & 128`, "erased": `u.flags & 64`, "locked": `u.flags & 8`,
		"suspended": `u.flags & 16`,
	}
}

// ListedUser is an account in an administrator's list.
type ListedUser struct {
	ID                     matrix.UserID
	Flags                  UserFlag
	Created                int64
	DisplayName, AvatarURL string
	Type                   string
	Appservice             string
	LastSeen               int64
}

const userListWhere = ` FROM users u JOIN user_ids i ON i.nid = u.nid WHERE u.tenant = $1
	AND LOWER(i.user_id) LIKE $2 ESCAPE '\' AND (LOWER(i.user_id) LIKE $3 ESCAPE '\' OR LOWER(u.display_name) LIKE $4 ESCAPE '\')
	AND (u.flags & CAST($5 AS BIGINT)) = $6 AND CAST($7 AS TEXT) NOT LIKE '%,' || u.user_type || ',%'`

func (q *UserQuery) args() []any {
	return []any{q.Tenant, "%" + q.IDLike + "%", "@%" + q.NameLike + "%:%", "%" + q.NameLike + "%", int64(q.Mask),
		int64(q.Want), q.NotTypes}
}

// QueryUsers lists accounts, and counts all that match.
func (db *DB) QueryUsers(ctx context.Context, q UserQuery) (list []ListedUser, total int64, err error) {
	if err := db.row(ctx, `SELECT COUNT(*)`+userListWhere, q.args(), &total); err != nil {
		return nil, 0, err
	}
	direction := ` ASC`
	if q.Backward {
		direction = ` DESC`
	}
	const columns = `SELECT i.user_id, u.flags, u.created, u.display_name, u.avatar_url, u.user_type, u.appservice,
		COALESCE((SELECT MAX(x.ts) FROM sessions s JOIN session_seen x ON x.session = s.nid WHERE s.usr = u.nid), 0)`
	text := columns + userListWhere + ` ORDER BY ` + UserOrders()[q.Order] + direction + `, i.user_id LIMIT $8 OFFSET $9`
	err = db.each(ctx, text, append(q.args(), q.Limit, q.Offset), func(r *sql.Rows) error {
		var u ListedUser
		err := r.Scan(&u.ID, &u.Flags, &u.Created, &u.DisplayName, &u.AvatarURL, &u.Type, &u.Appservice, &u.LastSeen)
		list = append(list, u)
		return err
	})
	return list, total, err
}

// UpdateUserType says what kind of account it is.
func UpdateUserType(user int64, typ string) Guard {
	return Guard{sql: `UPDATE users SET user_type = $2 WHERE nid = $1`, args: []any{user, typ}, want: 1}
}

// GetUserType is what kind of account it is.
func (db *DB) GetUserType(ctx context.Context, user int64) (typ string, err error) {
	err = db.row(ctx, `SELECT user_type FROM users WHERE nid = $1`, []any{user}, &typ)
	return typ, err
}

// LastSeen is when any session of a user was last used; 0: never.
func (db *DB) LastSeen(ctx context.Context, user int64) (ts int64, err error) {
	err = db.row(ctx, `SELECT COALESCE(MAX(x.ts), 0) FROM sessions s JOIN session_seen x ON x.session = s.nid WHERE s.usr = $1`,
		[]any{user}, &ts)
	return ts, err
}

// ReopenUser takes back the closing of an account.
func ReopenUser(user int64) Guard {
	return Guard{sql: `UPDATE users SET flags = flags & ~CAST($2 AS BIGINT) WHERE nid = $1`,
		args: []any{user, int64(UserDeactivated | UserErased)}, want: 1}
}

// DeleteThreepids takes all addresses from an account.
func DeleteThreepids(user int64) Guard {
	return Guard{sql: `DELETE FROM threepids WHERE usr = $1`, args: []any{user}, want: anyRows}
}

// ExternalID is by which name another identity provider knows an account.
type ExternalID struct{ Provider, ID string }

// InsertExternalID binds such a name to an account; it fails when another account has it.
func InsertExternalID(tenant, user int64, e ExternalID) Guard {
	return Guard{sql: `INSERT INTO external_ids (tenant, provider, external_id, usr) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		args: []any{tenant, e.Provider, e.ID, user}, want: 1}
}

// DeleteExternalIDs takes all such names from an account.
func DeleteExternalIDs(user int64) Guard {
	return Guard{sql: `DELETE FROM external_ids WHERE usr = $1`, args: []any{user}, want: anyRows}
}

// ListExternalIDs lists such names of an account.
func (db *DB) ListExternalIDs(ctx context.Context, user int64) ([]ExternalID, error) {
	var out []ExternalID
	err := db.each(ctx, `SELECT provider, external_id FROM external_ids WHERE usr = $1 ORDER BY provider, external_id`,
		[]any{user}, func(r *sql.Rows) error {
			var e ExternalID
			err := r.Scan(&e.Provider, &e.ID)
			out = append(out, e)
			return err
		})
	return out, err
}

// FindExternalID is the account that a provider knows by a name; ErrNotFound when there is none.
func (db *DB) FindExternalID(ctx context.Context, tenant int64, e ExternalID) (id matrix.UserID, err error) {
	err = db.row(ctx, `SELECT i.user_id FROM external_ids x JOIN user_ids i ON i.nid = x.usr
		WHERE x.tenant = $1 AND x.provider = $2 AND x.external_id = $3`, []any{tenant, e.Provider, e.ID}, &id)
	return id, err
}

package storage

import (
	"context"
	"database/sql"
)

// Profile is what a local user shows of himself.
type Profile struct{ DisplayName, AvatarURL string }

// GetProfile reads display name and avatar of a local user; ErrNotFound when there is no such account.
func (db *DB) GetProfile(ctx context.Context, user int64) (p Profile, err error) {
	err = db.row(ctx, `SELECT display_name, avatar_url FROM users WHERE nid = $1`, []any{user}, &p.DisplayName, &p.AvatarURL)
	return p, err
}

// UpdateDisplayName sets a user's display name; "" removes it.
func UpdateDisplayName(user int64, name string) Guard {
	return Guard{sql: `UPDATE users SET display_name = $2, name_words = $3 WHERE nid = $1`,
		args: []any{user, name, directoryWords(name)}, want: 1}
}

// UpdateAvatarURL sets a user's avatar; "" removes it.
func UpdateAvatarURL(user int64, url string) Guard {
	return Guard{sql: `UPDATE users SET avatar_url = $2 WHERE nid = $1`, args: []any{user, url}, want: 1}
}

// ProfileField is a further field of a profile.
type ProfileField struct {
	Name  string
	Value []byte // JSON
}

// ProfileFieldRow sets a further field of a profile.
type ProfileFieldRow struct {
	User int64
	ProfileField
}

var profileFieldsTable = newTable("profile_fields", "usr:i name:t value:b", 2, "update")

func (*ProfileFieldRow) table() *table          { return profileFieldsTable }
func (r *ProfileFieldRow) args(dst []any) []any { return append(dst, r.User, r.Name, r.Value) }

// DeleteProfileField removes a further field of a profile.
func DeleteProfileField(user int64, name string) Guard {
	return Guard{sql: `DELETE FROM profile_fields WHERE usr = $1 AND name = $2`, args: []any{user, name}, want: anyRows}
}

// DeleteProfile empties a profile: the account was closed.
func DeleteProfile(user int64) []Guard {
	return []Guard{
		{sql: `DELETE FROM profile_fields WHERE usr = $1`, args: []any{user}, want: anyRows},
		{sql: `UPDATE users SET display_name = '', name_words = '', avatar_url = '' WHERE nid = $1`, args: []any{user}, want: 1},
	}
}

// ListProfileFields lists the further fields of a profile.
func (db *DB) ListProfileFields(ctx context.Context, user int64) ([]ProfileField, error) {
	var out []ProfileField
	err := db.each(ctx, `SELECT name, value FROM profile_fields WHERE usr = $1 ORDER BY name`, []any{user}, func(r *sql.Rows) error {
		var f ProfileField
		err := r.Scan(&f.Name, &f.Value)
		out = append(out, f)
		return err
	})
	return out, err
}

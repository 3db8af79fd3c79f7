package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// InsertTenant adds a tenant, or finds the one of that name; nid receives its number either way.
func InsertTenant(fresh int64, name string, nid *int64) Guard {
	return Guard{sql: `INSERT INTO tenants (nid, name) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING nid`,
		args: []any{fresh, name}, want: 1, scan: scanInto(nid)}
}

// InsertServerName gives a server name to a tenant; it fails when another one owns it.
func InsertServerName(name matrix.ServerName, tenant int64) Guard {
	return Guard{sql: `INSERT INTO server_names (name, tenant) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET tenant = excluded.tenant WHERE server_names.tenant = excluded.tenant`,
		args: []any{string(name), tenant}, want: 1}
}

// ListServerNames lists all server names of this installation with the tenants that own them.
func (db *DB) ListServerNames(ctx context.Context) (map[matrix.ServerName]int64, error) {
	out := map[matrix.ServerName]int64{}
	err := db.each(ctx, `SELECT name, tenant FROM server_names`, nil, func(r *sql.Rows) error {
		var name matrix.ServerName
		var tenant int64
		err := r.Scan(&name, &tenant)
		out[name] = tenant
		return err
	})
	return out, err
}

// ListPeopledNames lists the server names that have accounts, and of these the ones whose accounts have ever been in a
// room: they have signed events.
func (db *DB) ListPeopledNames(ctx context.Context) (peopled, signed []matrix.ServerName, err error) {
	err = db.each(ctx, `SELECT name, EXISTS (SELECT 1 FROM users JOIN memberships ON usr = nid WHERE tenant = s.tenant)
		FROM server_names s WHERE EXISTS (SELECT 1 FROM users WHERE tenant = s.tenant) ORDER BY name`, nil, func(r *sql.Rows) error {
		var name matrix.ServerName
		var signs bool
		err := r.Scan(&name, &signs)
		if peopled = append(peopled, name); signs {
			signed = append(signed, name)
		}
		return err
	})
	return peopled, signed, err
}

// RegistrationToken lets its holders register. UsesAllowed below 0 and Expires 0 set no bound.
type RegistrationToken struct {
	Token                           string
	Tenant                          int64
	UsesAllowed, Pending, Completed int64
	Expires                         int64
}

// InsertRegistrationToken adds a token, or leaves the one that is there.
func InsertRegistrationToken(t RegistrationToken) Guard {
	return Guard{sql: `INSERT INTO registration_tokens (token, tenant, uses_allowed, pending, completed, expires)
			VALUES ($1, $2, $3, 0, 0, $4) ON CONFLICT DO NOTHING`,
		args: []any{t.Token, t.Tenant, t.UsesAllowed, t.Expires}, want: anyRows}
}

// UseRegistrationToken counts one use; it fails when the token is unknown, worn out or too old.
func UseRegistrationToken(token string, now int64) Guard {
	return Guard{sql: `UPDATE registration_tokens SET completed = completed + 1 WHERE token = $1
			AND (expires = 0 OR expires > $2) AND (uses_allowed < 0 OR completed < uses_allowed)`,
		args: []any{token, now}, want: 1}
}

// FindRegistrationToken reads a token; ErrNotFound when there is none.
func (db *DB) FindRegistrationToken(ctx context.Context, token string) (t RegistrationToken, err error) {
	t.Token = token
	err = db.row(ctx, `SELECT tenant, uses_allowed, pending, completed, expires FROM registration_tokens WHERE token = $1`,
		[]any{token}, &t.Tenant, &t.UsesAllowed, &t.Pending, &t.Completed, &t.Expires)
	return t, err
}

// HasRegistrationTokens reports whether there is any token at all.
func (db *DB) HasRegistrationTokens(ctx context.Context) (bool, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM registration_tokens LIMIT 1) x`, nil, &n)
	return n > 0, err
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Session is an access token with what it stands for. Tokens are kept as SHA-256 hashes only.
type Session struct {
	NID, User, Device, Tenant int64
	TokenHash                 []byte
	RefreshHash               []byte // nil: cannot be refreshed
	Parent                    int64  // the session that this one was refreshed from
	Scopes, ClientID          string
	Created, Expires          int64 // Expires 0: never
}

// SessionRow adds a session.
type SessionRow struct{ Session }

var sessionsTable = newTable("sessions", `nid:i usr:i device:i tenant:i token_hash:b refresh_hash:b parent:i scopes:t
	client_id:t created:i expires:i`, 1, "")

func (*SessionRow) table() *table { return sessionsTable }
func (r *SessionRow) args(dst []any) []any {
	return append(dst, r.NID, r.User, r.Device, r.Tenant, r.TokenHash, r.RefreshHash, r.Parent, r.Scopes, r.ClientID, r.Created, r.Expires)
}

// Login is a session with its user and device, as a request needs them.
type Login struct {
	Session
	UserID   matrix.UserID
	DeviceID matrix.DeviceID
	Flags    UserFlag
	// PerSecond and Burst are the user's own rate limit; PerSecond is below 0 when he has none, and 0 lifts all limits.
	PerSecond, Burst int64
}

const loginColumns = `s.nid, s.usr, s.device, s.tenant, s.parent, s.scopes, s.client_id, s.created, s.expires, i.user_id,
	COALESCE(d.device_id, ''), u.flags, COALESCE(o.per_second, -1), COALESCE(o.burst, 0)`

const loginJoins = ` FROM sessions s JOIN users u ON u.nid = s.usr JOIN user_ids i ON i.nid = s.usr LEFT JOIN devices d ON d.nid = s.device
	LEFT JOIN rate_overrides o ON o.usr = s.usr `

func (l *Login) dest() []any {
	return []any{&l.NID, &l.User, &l.Device, &l.Tenant, &l.Parent, &l.Scopes, &l.ClientID, &l.Created, &l.Expires,
		&l.UserID, &l.DeviceID, &l.Flags, &l.PerSecond, &l.Burst}
}

// FindLogin is the session of an access token's hash; ErrNotFound when there is none.
func (db *DB) FindLogin(ctx context.Context, tokenHash []byte) (Login, error) {
	var l Login
	err := db.row(ctx, `SELECT `+loginColumns+loginJoins+`WHERE s.token_hash = $1`, []any{tokenHash}, l.dest()...)
	return l, err
}

// FindLoginByRefresh is the session of a refresh token's hash; ErrNotFound when there is none.
func (db *DB) FindLoginByRefresh(ctx context.Context, refreshHash []byte) (Login, error) {
	var l Login
	err := db.row(ctx, `SELECT `+loginColumns+loginJoins+`WHERE s.refresh_hash = $1`, []any{refreshHash}, l.dest()...)
	return l, err
}

// DeleteSuccessors ends the sessions that a session was refreshed to, but one (0: all).
// Why "parent <> 0": the index holds those alone, and without the words the engine walks all sessions.
func DeleteSuccessors(parent, except int64) []Guard {
	args := []any{parent, except}
	return []Guard{
		{sql: `DELETE FROM session_seen WHERE session IN (SELECT nid FROM sessions WHERE parent = $1 AND parent <> 0 AND nid <> $2)`, args: args, want: anyRows},
		{sql: `DELETE FROM sessions WHERE parent = $1 AND parent <> 0 AND nid <> $2`, args: args, want: anyRows},
	}
}

// SessionStill holds while a session exists.
func SessionStill(nid int64) Guard {
	return Guard{sql: `SELECT 1 FROM sessions WHERE nid = $1`, args: []any{nid}, want: 1, scan: func(*sql.Rows) error { return nil }}
}

// SettleSession makes a session stand alone: the one that it was refreshed from has ended.
func SettleSession(nid int64) Guard {
	return Guard{sql: `UPDATE sessions SET parent = 0 WHERE nid = $1`, args: []any{nid}, want: anyRows}
}

// DeleteDetached ends one session if it is still there.
func DeleteDetached(nid int64) []Guard {
	guards := DeleteSession(nid)
	guards[1].want = anyRows
	return guards
}

// DeleteSession ends one session; it fails when the session has ended already.
func DeleteSession(nid int64) []Guard {
	return []Guard{
		{sql: `DELETE FROM session_seen WHERE session = $1`, args: []any{nid}, want: anyRows},
		{sql: `DELETE FROM sessions WHERE nid = $1`, args: []any{nid}, want: 1},
	}
}

// DeleteDeviceSessions ends the sessions of a user's device of this name.
func DeleteDeviceSessions(user int64, device matrix.DeviceID) []Guard {
	const those = `SELECT s.nid FROM sessions s JOIN devices d ON d.nid = s.device WHERE d.usr = $1 AND d.device_id = $2`
	args := []any{user, string(device)}
	return []Guard{
		{sql: `DELETE FROM session_seen WHERE session IN (` + those + `)`, args: args, want: anyRows},
		{sql: `DELETE FROM sessions WHERE nid IN (` + those + `)`, args: args, want: anyRows},
	}
}

// SessionSeenRow says when and from where a session was last used.
type SessionSeenRow struct {
	Session, TS   int64
	IP, UserAgent string
}

var sessionSeenTable = newTable("session_seen", "session:i ts:i ip:t user_agent:t", 1, "update")

func (*SessionSeenRow) table() *table { return sessionSeenTable }
func (r *SessionSeenRow) args(dst []any) []any {
	return append(dst, r.Session, r.TS, r.IP, r.UserAgent)
}

// ListUserSessions lists the sessions of a user.
func (db *DB) ListUserSessions(ctx context.Context, user int64) ([]Login, error) {
	var out []Login
	err := db.each(ctx, `SELECT `+loginColumns+loginJoins+`WHERE s.usr = $1 ORDER BY s.nid`, []any{user},
		func(r *sql.Rows) error {
			var l Login
			err := r.Scan(l.dest()...)
			out = append(out, l)
			return err
		})
	return out, err
}

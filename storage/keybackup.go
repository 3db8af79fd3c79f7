package storage

import (
	"context"
	"database/sql"
	"errors"

	"rempart/internal/matrix"
)

// KeyBackup is a version of a user's backup of room keys.
type KeyBackup struct {
	Version   int64
	Algorithm string
	AuthData  []byte // JSON object
	ETag      int64
	Count     int64
}

// InsertKeyBackup makes a user's next version; version receives its number.
func InsertKeyBackup(user int64, algorithm string, authData []byte, version *int64) Guard {
	return Guard{sql: `INSERT INTO key_backups (usr, version, algorithm, auth_data, etag, deleted)
			VALUES ($1, (SELECT COALESCE(MAX(b.version), 0) + 1 FROM key_backups b WHERE b.usr = $1), $2, $3, 0, 0) RETURNING version`,
		args: []any{user, algorithm, authData}, want: 1, scan: scanInto(version)}
}

// UpdateKeyBackup replaces the auth data of a version; it fails when the version or its algorithm is another.
func UpdateKeyBackup(user, version int64, algorithm string, authData []byte) Guard {
	return Guard{sql: `UPDATE key_backups SET auth_data = $4 WHERE usr = $1 AND version = $2 AND algorithm = $3 AND deleted = 0`,
		args: []any{user, version, algorithm, authData}, want: 1}
}

// DeleteKeyBackup removes a version; it fails when there is none. Its keys are given to nobody from then on, and go by PruneKeyBackups.
func DeleteKeyBackup(user, version int64) Guard {
	return Guard{sql: `UPDATE key_backups SET deleted = 1 WHERE usr = $1 AND version = $2 AND deleted = 0`, args: []any{user, version}, want: 1}
}

// PruneKeyBackups deletes the keys of a user's versions that were removed.
func (db *DB) PruneKeyBackups(ctx context.Context, user int64) error {
	versions, err := db.numbers(ctx, `SELECT b.version FROM key_backups b WHERE b.usr = $1 AND b.deleted = 1
		AND EXISTS (SELECT 1 FROM key_backup_sessions s WHERE s.usr = b.usr AND s.version = b.version)`, user)
	for _, version := range versions {
		for over := false; err == nil && !over; {
			over, err = db.biteOfBackup(ctx, user, version)
		}
	}
	return err
}

// biteOfBackup deletes the first keys of a version and returns whether these were the last.
func (db *DB) biteOfBackup(ctx context.Context, user, version int64) (over bool, err error) {
	var room, session string
	err = db.row(ctx, `SELECT room_id, session_id FROM key_backup_sessions WHERE usr = $1 AND version = $2
		ORDER BY room_id, session_id LIMIT 1 OFFSET $3`, []any{user, version, int64(prunePiece - 1)}, &room, &session)
	over = errors.Is(err, ErrNotFound)
	if err != nil && !over {
		return false, err
	}
	g := Guard{sql: `DELETE FROM key_backup_sessions WHERE usr = $1 AND version = $2`, args: []any{user, version}, want: anyRows}
	if !over {
		g.sql, g.args = g.sql+` AND (room_id, session_id) <= ($3, $4)`, append(g.args, room, session)
	}
	c := &Change{}
	c.Guard(g)
	return over, db.Commit(ctx, c)
}

// DeleteKeyBackups removes all backups of a user: he has closed his account.
func DeleteKeyBackups(user int64) []Guard {
	return []Guard{
		{sql: `DELETE FROM key_backup_sessions WHERE usr = $1`, args: []any{user}, want: anyRows},
		{sql: `DELETE FROM key_backups WHERE usr = $1`, args: []any{user}, want: anyRows},
	}
}

const keyBackupQuery = `SELECT b.version, b.algorithm, b.auth_data, b.etag,
	(SELECT COUNT(*) FROM key_backup_sessions s WHERE s.usr = b.usr AND s.version = b.version)
	FROM key_backups b WHERE b.usr = $1 AND b.deleted = 0 `

// FindKeyBackup reads a version, or with 0 the newest one; ErrNotFound when there is none.
func (db *DB) FindKeyBackup(ctx context.Context, user, version int64) (b KeyBackup, err error) {
	dest := []any{&b.Version, &b.Algorithm, &b.AuthData, &b.ETag, &b.Count}
	if version == 0 {
		return b, db.row(ctx, keyBackupQuery+`ORDER BY b.version DESC LIMIT 1`, []any{user}, dest...)
	}
	return b, db.row(ctx, keyBackupQuery+`AND b.version = $2`, []any{user, version}, dest...)
}

// BackedUpKey is a room key in a backup.
type BackedUpKey struct {
	Room       matrix.RoomID
	Session    string
	Verified   bool
	FirstIndex int64
	Forwarded  int64
	Body       []byte // the whole JSON object
}

// BackedUpKeyRow adds a room key to a backup; of two for one session the better stays.
// Spec: client-server-api/#backup-algorithm-mmegolm_backupv1curve25519-aes-sha2, on which key is kept.
type BackedUpKeyRow struct {
	User, Version int64
	BackedUpKey
}

var backedUpTable = newTable("key_backup_sessions", `usr:i version:i room_id:t session_id:t verified:i first_index:i forwarded:i body:b`, 4,
	`ON CONFLICT (usr, version, room_id, session_id) DO UPDATE SET verified = excluded.verified,
		first_index = excluded.first_index, forwarded = excluded.forwarded, body = excluded.body
	WHERE excluded.verified > key_backup_sessions.verified
		OR excluded.verified = key_backup_sessions.verified AND (excluded.first_index < key_backup_sessions.first_index
			OR excluded.first_index = key_backup_sessions.first_index AND excluded.forwarded < key_backup_sessions.forwarded)`)

func (*BackedUpKeyRow) table() *table { return backedUpTable }
func (r *BackedUpKeyRow) args(dst []any) []any {
	return append(dst, r.User, r.Version, string(r.Room), r.Session, asInt(r.Verified), r.FirstIndex, r.Forwarded, r.Body)
}

// TouchKeyBackup counts a change of the newest version; it fails when the version is not that.
func TouchKeyBackup(user, version int64, etag *int64) Guard {
	return Guard{sql: `UPDATE key_backups SET etag = etag + 1 WHERE usr = $1 AND version = $2 AND deleted = 0
			AND version = (SELECT MAX(b.version) FROM key_backups b WHERE b.usr = $1 AND b.deleted = 0) RETURNING etag`,
		args: []any{user, version}, want: 1, scan: scanInto(etag)}
}

// DeleteBackedUpKeys removes keys from a version: of one session, of one room (session ""), or all (room "").
func DeleteBackedUpKeys(user, version int64, room matrix.RoomID, session string) Guard {
	return Guard{sql: `DELETE FROM key_backup_sessions WHERE usr = $1 AND version = $2
			AND ($3 = '' OR room_id = $3) AND ($4 = '' OR session_id = $4)`,
		args: []any{user, version, string(room), session}, want: anyRows}
}

// ListBackedUpKeys lists keys of a version: of one session, of one room (session ""), or all (room "").
func (db *DB) ListBackedUpKeys(ctx context.Context, user, version int64, room matrix.RoomID, session string) ([]BackedUpKey, error) {
	var out []BackedUpKey
	err := db.each(ctx, `SELECT room_id, session_id, body FROM key_backup_sessions WHERE usr = $1 AND version = $2
			AND ($3 = '' OR room_id = $3) AND ($4 = '' OR session_id = $4) ORDER BY room_id, session_id`,
		[]any{user, version, string(room), session}, func(r *sql.Rows) error {
			var k BackedUpKey
			err := r.Scan(&k.Room, &k.Session, &k.Body)
			out = append(out, k)
			return err
		})
	return out, err
}

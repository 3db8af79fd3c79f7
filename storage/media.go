package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// MediaState says how far a media address is; it is stored and must never be renumbered.
type MediaState int64

// The states of media.
const (
	MediaPending  MediaState = 0 // an address without content yet
	MediaReady    MediaState = 1 // may be served
	MediaHeld     MediaState = 2 // waits for the virus scanner
	MediaInfected MediaState = 3 // the scanner refused it; the content is gone
)

// Media is one address with what is kept under it.
type Media struct {
	Origin       matrix.ServerName
	ID           string
	Tenant, User int64
	State        MediaState
	Digest       []byte // empty while pending and when infected
	Size         int64
	Type, Name   string
	Created      int64
	Expires      int64  // while pending: until when it may be filled
	Quarantined  string // who locked it away; "" means nobody
}

// MediaRow adds an address.
type MediaRow struct{ Media }

var mediaTable = newTable("media", `origin:t id:t tenant:i usr:i state:i digest:b size:i type:t name:t created:i expires:i
	quarantined:t`, 2, "")

func (*MediaRow) table() *table { return mediaTable }
func (r *MediaRow) args(dst []any) []any {
	return append(dst, string(r.Origin), r.ID, r.Tenant, r.User, int64(r.State), notNil(r.Digest), r.Size, r.Type, r.Name,
		r.Created, r.Expires, r.Quarantined)
}

// notNil is b, or no bytes where b is NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

const mediaColumns = `origin, id, tenant, usr, state, digest, size, type, name, created, expires, quarantined`

func (m *Media) dest() []any {
	return []any{&m.Origin, &m.ID, &m.Tenant, &m.User, &m.State, &m.Digest, &m.Size, &m.Type, &m.Name, &m.Created, &m.Expires,
		&m.Quarantined}
}

// FindMedia reads an address; ErrNotFound when nobody made it.
func (db *DB) FindMedia(ctx context.Context, origin matrix.ServerName, id string) (m Media, err error) {
	err = db.row(ctx, `SELECT `+mediaColumns+` FROM media WHERE origin = $1 AND id = $2`, []any{string(origin), id}, m.dest()...)
	return m, err
}

// FillMedia gives a pending address its content; it fails when the address has content or is gone.
func FillMedia(m Media) Guard {
	return Guard{sql: `UPDATE media SET state = $3, digest = $4, size = $5, type = $6, name = $7, created = $8
			WHERE origin = $1 AND id = $2 AND state = 0`,
		args: []any{string(m.Origin), m.ID, int64(m.State), m.Digest, m.Size, m.Type, m.Name, m.Created}, want: 1}
}

// LimitPendingMedia fails when a user has that many addresses without content that were made since an instant, the only ones that may
// still be filled. Why since: the index is by user and time, and the writer would go through all that he ever uploaded.
func LimitPendingMedia(user, now, since int64, limit int) Guard {
	return Guard{sql: `SELECT 1 FROM (SELECT COUNT(*) AS n FROM media WHERE usr = $1 AND created >= $4 AND state = 0 AND expires > $2) p WHERE p.n < $3`,
		args: []any{user, now, int64(limit), since}, want: 1}
}

// UseMediaQuota adds to what an account has uploaded; it fails when that would pass the quota. The first use of an
// account is not compared: the caller refuses what is larger than the quota by itself.
func UseMediaQuota(user, bytes, quota int64) Guard {
	return Guard{sql: `INSERT INTO media_usage (usr, bytes) VALUES ($1, $2)
			ON CONFLICT (usr) DO UPDATE SET bytes = media_usage.bytes + excluded.bytes
			WHERE media_usage.bytes + excluded.bytes <= $3`,
		args: []any{user, bytes, quota}, want: 1}
}

// FreeMediaQuota gives bytes back to an account.
func FreeMediaQuota(user, bytes int64) Guard {
	return Guard{sql: `UPDATE media_usage SET bytes = bytes - $2 WHERE usr = $1`, args: []any{user, bytes}, want: anyRows}
}

// GetMediaUsage is how many bytes an account has uploaded.
func (db *DB) GetMediaUsage(ctx context.Context, user int64) (int64, error) {
	var n int64
	err := db.row(ctx, `SELECT COALESCE(SUM(bytes), 0) FROM media_usage WHERE usr = $1`, []any{user}, &n)
	return n, err
}

// SettleMedia ends the hold of an address: MediaReady serves it, MediaInfected lets go of its content. It fails when the
// address is not held any more.
func SettleMedia(m Media, state MediaState) Guard {
	digest := m.Digest
	if state == MediaInfected {
		digest = []byte{}
	}
	return Guard{sql: `UPDATE media SET state = $3, digest = $4 WHERE origin = $1 AND id = $2 AND state = 2`,
		args: []any{string(m.Origin), m.ID, int64(state), digest}, want: 1}
}

// ListHeldMedia lists media that waits for the scanner, after an address ("" for the first), in the order of addresses.
func (db *DB) ListHeldMedia(ctx context.Context, after Media, limit int) ([]Media, error) {
	return db.listMedia(ctx, `SELECT `+mediaColumns+` FROM media WHERE state = 2 AND (origin, id) > ($1, $2)
		ORDER BY origin, id LIMIT $3`, string(after.Origin), after.ID, int64(limit))
}

// PruneExpiredMedia forgets addresses that nobody filled in time, in bites.
func (db *DB) PruneExpiredMedia(ctx context.Context, now int64) error {
	return db.eatAll(ctx, now, bite{table: "media", column: "expires", where: "state = 0 AND "})
}

func (db *DB) listMedia(ctx context.Context, text string, args ...any) ([]Media, error) {
	var out []Media
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var m Media
		err := r.Scan(m.dest()...)
		out = append(out, m)
		return err
	})
	return out, err
}

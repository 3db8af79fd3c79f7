package storage

import (
	"context"
	"database/sql"
	"fmt"

	"rempart/internal/matrix"
)

// MediaFile is an address as administrators see it.
type MediaFile struct {
	Media
	Protected bool
	Used      int64 // when it was last served, at most a day ago; 0: never
}

const mediaFileColumns = mediaColumns + `, protected, used`

func (db *DB) mediaFiles(ctx context.Context, text string, args ...any) ([]MediaFile, error) {
	var out []MediaFile
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var m MediaFile
		var protected int64
		err := r.Scan(append(m.dest(), &protected, &m.Used)...)
		m.Protected = protected != 0
		out = append(out, m)
		return err
	})
	return out, err
}

// FindMediaFile reads an address; ErrNotFound when nobody made it.
func (db *DB) FindMediaFile(ctx context.Context, origin matrix.ServerName, id string) (MediaFile, error) {
	found, err := db.mediaFiles(ctx, `SELECT `+mediaFileColumns+` FROM media WHERE origin = $1 AND id = $2`, string(origin), id)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return MediaFile{}, err
	}
	return found[0], nil
}

// MediaOrders are the orders of a list of media.
func MediaOrders() map[string]string {
	return map[string]string{
		"media_id": `id`, "upload_name": `name`, "created_ts": `created`, "last_access_ts": `used`, "media_length": `size`,
		"media_type": `type`, "quarantined_by": `quarantined`, "safe_from_quarantine": `protected`,
	}
}

// QueryMediaOf lists what a user has uploaded in an order, and counts all of it.
func (db *DB) QueryMediaOf(ctx context.Context, user int64, order string, backward bool, offset, limit int64) ([]MediaFile, int64, error) {
	var total int64
	if err := db.row(ctx, `SELECT COUNT(*) FROM media WHERE usr = $1 AND state <> 0`, []any{user}, &total); err != nil {
		return nil, 0, err
	}
	direction := ` ASC`
	if backward {
		direction = ` DESC`
	}
	list, err := db.mediaFiles(ctx, `SELECT `+mediaFileColumns+` FROM media WHERE usr = $1 AND state <> 0 ORDER BY `+
		MediaOrders()[order]+direction+`, id LIMIT $2 OFFSET $3`, user, limit, offset)
	return list, total, err
}

// ListMediaBefore lists local (or else remote) addresses of a tenant last used before a time and larger than a size, by
// address, after one.
func (db *DB) ListMediaBefore(ctx context.Context, q MediaBefore) ([]MediaFile, error) {
	remote := int64(0)
	if q.Remote {
		remote = 1
	}
	return db.mediaFiles(ctx, `SELECT `+mediaFileColumns+` FROM media m WHERE m.tenant = $1 AND m.state <> 0 AND m.created < $2 AND m.used < $2
		AND m.size > $3 AND (m.origin > $4 OR m.origin = $4 AND m.id > $5)
		AND (CASE WHEN EXISTS (SELECT 1 FROM server_names n WHERE n.name = m.origin) THEN 0 ELSE 1 END) = $6
		ORDER BY m.origin, m.id LIMIT $7`, q.Tenant, q.Before, q.Larger, string(q.After.Origin), q.After.ID, remote, int64(q.Limit))
}

// MediaBefore chooses addresses.
type MediaBefore struct {
	Tenant, Before, Larger int64
	Remote                 bool
	After                  Media
	Limit                  int
}

// ProtectMedia lets quarantines of rooms and users pass an address over, or takes that back.
func ProtectMedia(origin matrix.ServerName, id string, on bool) Guard {
	n := int64(0)
	if on {
		n = 1
	}
	return Guard{sql: `UPDATE media SET protected = $3 WHERE origin = $1 AND id = $2`, args: []any{string(origin), id, n}, want: 1}
}

// QuarantineUnprotected locks addresses away that are neither protected nor locked already; n is raised by how many it were.
func QuarantineUnprotected(origin matrix.ServerName, id, by string, n *int64) Guard {
	return Guard{sql: `UPDATE media SET quarantined = $3 WHERE origin = $1 AND id = $2 AND protected = 0 AND quarantined = '' RETURNING size`,
		args: []any{string(origin), id, by}, want: anyRows, scan: func(*sql.Rows) error { *n++; return nil }}
}

// QuarantineOf locks away what a user has uploaded that is not protected; n is raised by how many it were.
func QuarantineOf(user int64, by string, n *int64) Guard {
	return Guard{sql: `UPDATE media SET quarantined = $2 WHERE usr = $1 AND protected = 0 AND quarantined = '' RETURNING size`,
		args: []any{user, by}, want: anyRows, begin: func() { *n = 0 }, scan: func(*sql.Rows) error { *n++; return nil }}
}

// QuarantineTwins locks away, or with "" gives back, all addresses of a tenant with the same content.
func QuarantineTwins(tenant int64, digest []byte, by string) Guard {
	return Guard{sql: `UPDATE media SET quarantined = $3 WHERE tenant = $1 AND digest = $2 AND protected = 0`,
		args: []any{tenant, digest, by}, want: anyRows}
}

// MediaUse is how much a user has uploaded.
type MediaUse struct {
	User        matrix.UserID
	DisplayName string
	Count       int64
	Bytes       int64
}

// MediaUseQuery chooses and orders users by what they have uploaded.
type MediaUseQuery struct {
	Tenant, From, Until int64  // times of upload; Until 0: any
	Like                string // LIKE pattern of localpart or display name, in lower case
	Order               string // one of the keys of [MediaUseOrders]
	Backward            bool
	Offset, Limit       int64
}

// MediaUseOrders are the orders of a list of users by their media.
func MediaUseOrders() map[string]string {
	return map[string]string{"user_id": `1`, "displayname": `2`, "media_count": `3`, "media_length": `4`}
}

// ListMediaUse lists how much users have uploaded, and counts all that match.
func (db *DB) ListMediaUse(ctx context.Context, q MediaUseQuery) (list []MediaUse, total int64, err error) {
	if q.Until == 0 {
		q.Until = 1 << 62
	}
	direction := ` ASC`
	if q.Backward {
		direction = ` DESC`
	}
	// Why added up first: the index alone answers that, and the few names that are looked for are compared afterwards.
	const sums = `WITH sums AS (SELECT usr, COUNT(*) AS files, CAST(SUM(size) AS BIGINT) AS bytes FROM media
		WHERE state <> 0 AND created >= $2 AND created <= $3 GROUP BY usr) `
	from := ` FROM sums s JOIN users u ON u.nid = s.usr JOIN user_ids i ON i.nid = u.nid WHERE u.tenant = $1`
	args := []any{q.Tenant, q.From, q.Until}
	if q.Like != "" {
		from += ` AND (LOWER(i.user_id) LIKE $4 ESCAPE '\' OR LOWER(u.display_name) LIKE $5 ESCAPE '\')`
		args = append(args, "@%"+q.Like+"%:%", "%"+q.Like+"%")
	}
	if err := db.row(ctx, sums+`SELECT COUNT(*)`+from, args, &total); err != nil {
		return nil, 0, err
	}
	n := len(args)
	page := fmt.Sprintf(`, 1 LIMIT $%d OFFSET $%d`, n+1, n+2)
	err = db.each(ctx, sums+`SELECT i.user_id, u.display_name, s.files, s.bytes`+from+` ORDER BY `+MediaUseOrders()[q.Order]+direction+page,
		append(args, q.Limit, q.Offset), func(r *sql.Rows) error {
			var u MediaUse
			err := r.Scan(&u.User, &u.DisplayName, &u.Count, &u.Bytes)
			list = append(list, u)
			return err
		})
	return list, total, err
}

// ListAvatars lists the pictures of a tenant's accounts.
func (db *DB) ListAvatars(ctx context.Context, tenant int64) ([]string, error) {
	var out []string
	err := db.each(ctx, `SELECT avatar_url FROM users WHERE tenant = $1 AND avatar_url <> ''`, []any{tenant}, func(r *sql.Rows) error {
		var url string
		err := r.Scan(&url)
		out = append(out, url)
		return err
	})
	return out, err
}

// UseMedia notes when an address was served.
func UseMedia(origin matrix.ServerName, id string, at int64) Guard {
	return Guard{sql: `UPDATE media SET used = $3 WHERE origin = $1 AND id = $2`, args: []any{string(origin), id, at}, want: anyRows}
}

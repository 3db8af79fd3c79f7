package storage

import (
	"context"
	"database/sql"
)

// Thumb is a stored thumbnail of some content. Kind names its measures.
type Thumb struct {
	Tenant int64
	Digest []byte // of the content that it shows
	Kind   string
	Made   []byte // digest of the thumbnail's own file
	Size   int64
	Type   string
}

// ThumbRow adds a thumbnail, or replaces it.
type ThumbRow struct{ Thumb }

var thumbsTable = newTable("media_thumbs", "tenant:i digest:b kind:t made:b size:i type:t", 3, "update")

func (*ThumbRow) table() *table { return thumbsTable }
func (r *ThumbRow) args(dst []any) []any {
	return append(dst, r.Tenant, r.Digest, r.Kind, r.Made, r.Size, r.Type)
}

// FindThumb reads a thumbnail; ErrNotFound when it was not made yet.
func (db *DB) FindThumb(ctx context.Context, tenant int64, digest []byte, kind string) (Thumb, error) {
	t := Thumb{Tenant: tenant, Digest: digest, Kind: kind}
	err := db.row(ctx, `SELECT made, size, type FROM media_thumbs WHERE tenant = $1 AND digest = $2 AND kind = $3`,
		[]any{tenant, digest, kind}, &t.Made, &t.Size, &t.Type)
	return t, err
}

// DeleteThumbs forgets the thumbnails of some content.
func DeleteThumbs(tenant int64, digest []byte) Guard {
	return Guard{sql: `DELETE FROM media_thumbs WHERE tenant = $1 AND digest = $2`, args: []any{tenant, digest}, want: anyRows}
}

// ListMediaDigests lists the digests of a tenant from one on, up to and without another, that an address or a
// thumbnail refers to.
func (db *DB) ListMediaDigests(ctx context.Context, tenant int64, from, to []byte) (map[string]bool, error) {
	out := map[string]bool{}
	err := db.each(ctx, `SELECT digest FROM media WHERE tenant = $1 AND digest >= $2 AND digest < $3
		UNION SELECT made FROM media_thumbs WHERE tenant = $1 AND made >= $2 AND made < $3`, []any{tenant, from, to},
		func(r *sql.Rows) error {
			var d []byte
			err := r.Scan(&d)
			out[string(d)] = true
			return err
		})
	return out, err
}

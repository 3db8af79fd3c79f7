package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Preview is what a web page says of itself.
type Preview struct {
	Tenant  int64
	Hash    []byte // of its address
	Body    []byte // JSON
	Origin  matrix.ServerName
	ID      string // of the picture in our media; "" for none
	Created int64
}

// PreviewRow keeps a preview; the first of two stays.
type PreviewRow struct{ Preview }

var previewsTable = newTable("previews", "tenant:i hash:b body:b origin:t id:t created:i", 2, "ignore")

func (*PreviewRow) table() *table { return previewsTable }
func (r *PreviewRow) args(dst []any) []any {
	return append(dst, r.Tenant, r.Hash, r.Body, string(r.Origin), r.ID, r.Created)
}

// FindPreview reads a preview, or ErrNotFound.
func (db *DB) FindPreview(ctx context.Context, tenant int64, hash []byte) (Preview, error) {
	p := Preview{Tenant: tenant, Hash: hash}
	err := db.row(ctx, `SELECT body, origin, id, created FROM previews WHERE tenant = $1 AND hash = $2`, []any{tenant, hash},
		&p.Body, &p.Origin, &p.ID, &p.Created)
	return p, err
}

// ListOldPreviews lists previews made before an instant, oldest first.
func (db *DB) ListOldPreviews(ctx context.Context, before int64, limit int) ([]Preview, error) {
	var out []Preview
	err := db.each(ctx, `SELECT tenant, hash, body, origin, id, created FROM previews WHERE created < $1 ORDER BY created LIMIT $2`,
		[]any{before, int64(limit)}, func(r *sql.Rows) error {
			var p Preview
			err := r.Scan(&p.Tenant, &p.Hash, &p.Body, &p.Origin, &p.ID, &p.Created)
			out = append(out, p)
			return err
		})
	return out, err
}

// DeletePreview forgets a preview.
func DeletePreview(tenant int64, hash []byte) Guard {
	return Guard{sql: `DELETE FROM previews WHERE tenant = $1 AND hash = $2`, args: []any{tenant, hash}, want: anyRows}
}

package storage

import (
	"context"
	"database/sql"
)

// Audit is one act of an administrator.
type Audit struct {
	NID, TS, Tenant    int64
	Admin, Act, Target string
	Detail             []byte // JSON object
}

// AuditRow records an act; it belongs in the Change that does it.
type AuditRow struct{ Audit }

var auditTable = newTable("audit", "nid:i ts:i tenant:i admin:t act:t target:t detail:b", 1, "")

func (*AuditRow) table() *table { return auditTable }
func (r *AuditRow) args(dst []any) []any {
	return append(dst, r.NID, r.TS, r.Tenant, r.Admin, r.Act, r.Target, r.Detail)
}

// ListAudit lists a tenant's acts, newest first, before a number (0: from the end).
func (db *DB) ListAudit(ctx context.Context, tenant, before int64, limit int) ([]Audit, error) {
	var out []Audit
	err := db.each(ctx, `SELECT nid, ts, tenant, admin, act, target, detail FROM audit
		WHERE tenant = $1 AND ($2 = 0 OR nid < $2) ORDER BY nid DESC LIMIT $3`, []any{tenant, before, int64(limit)},
		func(r *sql.Rows) error {
			var a Audit
			err := r.Scan(&a.NID, &a.TS, &a.Tenant, &a.Admin, &a.Act, &a.Target, &a.Detail)
			out = append(out, a)
			return err
		})
	return out, err
}

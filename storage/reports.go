package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Report is what a user brought to the moderators' notice: a room, an event in one, or a user.
type Report struct {
	NID, TS, Tenant int64
	Reporter        int64
	Room            int64 // 0 for a report of a user
	Event           matrix.EventID
	Target          int64 // the user reported, 0 otherwise
	Reason          string
	Score           int64
	Closed          int64 // when it was done with; 0: it waits
}

// ReportRow queues a report.
type ReportRow struct{ Report }

var reportsTable = newTable("reports", "nid:i ts:i tenant:i reporter:i room:i event:t target:i reason:t score:i closed:i", 1, "")

func (*ReportRow) table() *table { return reportsTable }
func (r *ReportRow) args(dst []any) []any {
	return append(dst, r.NID, r.TS, r.Tenant, r.Reporter, r.Room, string(r.Event), r.Target, r.Reason, r.Score, r.Closed)
}

// CloseReport is the guard that takes a report out of the queue.
func CloseReport(tenant, nid, at int64) Guard {
	return Guard{sql: `UPDATE reports SET closed = $3 WHERE tenant = $1 AND nid = $2 AND closed = 0`, args: []any{tenant, nid, at}, want: 1}
}

// ListReports lists a tenant's reports that wait, oldest first, after a number.
func (db *DB) ListReports(ctx context.Context, tenant, after int64, limit int) ([]Report, error) {
	var out []Report
	err := db.each(ctx, `SELECT nid, ts, tenant, reporter, room, event, target, reason, score, closed FROM reports
		WHERE tenant = $1 AND nid > $2 AND closed = 0 ORDER BY nid LIMIT $3`, []any{tenant, after, int64(limit)}, func(r *sql.Rows) error {
		var p Report
		err := r.Scan(&p.NID, &p.TS, &p.Tenant, &p.Reporter, &p.Room, &p.Event, &p.Target, &p.Reason, &p.Score, &p.Closed)
		out = append(out, p)
		return err
	})
	return out, err
}

// CountReports counts what a user reported since a time, so that nobody fills the queue.
func (db *DB) CountReports(ctx context.Context, reporter, since int64) (n int64, err error) {
	err = db.row(ctx, `SELECT COUNT(*) FROM reports WHERE reporter = $1 AND ts > $2`, []any{reporter, since}, &n)
	return n, err
}

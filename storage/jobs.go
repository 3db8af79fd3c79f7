package storage

import (
	"context"
	"database/sql"
)

// Job is background work that outlives a stop of the process.
type Job struct {
	NID   int64
	Kind  string
	Body  []byte // JSON, as its kind defines
	Due   int64  // not before
	Tries int64
}

// JobRow adds a job; it belongs in the Change that makes the work necessary.
type JobRow struct{ Job }

var jobsTable = newTable("jobs", "nid:i kind:t body:b due:i holder:i lease:i tries:i error:t", 1, "")

func (*JobRow) table() *table { return jobsTable }
func (r *JobRow) args(dst []any) []any {
	return append(dst, r.NID, r.Kind, r.Body, r.Due, int64(0), int64(0), r.Tries, "")
}

// ListDueJobs lists jobs of a kind that nobody holds and that may run now, oldest first.
func (db *DB) ListDueJobs(ctx context.Context, kind string, now int64, limit int) ([]Job, error) {
	var out []Job
	err := db.each(ctx, `SELECT nid, kind, body, due, tries FROM jobs
		WHERE kind = $1 AND due <= $2 AND lease < $2 ORDER BY nid LIMIT $3`, []any{kind, now, int64(limit)},
		func(r *sql.Rows) error {
			var j Job
			err := r.Scan(&j.NID, &j.Kind, &j.Body, &j.Due, &j.Tries)
			out = append(out, j)
			return err
		})
	return out, err
}

// LeaseJob takes a job for this node until an instant; it fails when another node has it.
func (db *DB) LeaseJob(nid, now, until int64) Guard {
	return Guard{sql: `UPDATE jobs SET holder = $2, lease = $4, tries = tries + 1 WHERE nid = $1 AND lease < $3`,
		args: []any{nid, db.node, now, until}, want: 1}
}

// DeleteJob ends a job that is done.
func DeleteJob(nid int64) Guard {
	return Guard{sql: `DELETE FROM jobs WHERE nid = $1`, args: []any{nid}, want: anyRows}
}

// RetryJob gives a job back, to be tried again from an instant on, with what went wrong.
func RetryJob(nid, due int64, why string) Guard {
	return Guard{sql: `UPDATE jobs SET holder = 0, lease = 0, due = $2, error = $3 WHERE nid = $1`,
		args: []any{nid, due, why}, want: anyRows}
}

package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// AdminTask is long work that an administrator asked for, and how it went.
type AdminTask struct {
	ID               string
	Tenant           int64
	Admin            string
	Action, Resource string
	Status           string // one of those below
	TS               int64  // when the status last changed
	Body, Result     []byte // JSON
	Error            string
}

// How far a task is.
const (
	TaskScheduled = "scheduled"
	TaskActive    = "active"
	TaskComplete  = "complete"
	TaskFailed    = "failed"
)

// AdminTaskRow sets a task.
type AdminTaskRow struct{ AdminTask }

var adminTasksTable = newTable("admin_tasks",
	"id:t tenant:i admin:t action:t resource:t status:t ts:i body:b result:b error:t", 1, "update")

func (*AdminTaskRow) table() *table { return adminTasksTable }
func (r *AdminTaskRow) args(dst []any) []any {
	return append(dst, r.ID, r.Tenant, r.Admin, r.Action, r.Resource, r.Status, r.TS, notNil(r.Body), notNil(r.Result), r.Error)
}

const taskColumns = `id, tenant, admin, action, resource, status, ts, body, result, error`

func (t *AdminTask) dest() []any {
	return []any{&t.ID, &t.Tenant, &t.Admin, &t.Action, &t.Resource, &t.Status, &t.TS, &t.Body, &t.Result, &t.Error}
}

// FindAdminTask reads a task; ErrNotFound when there is none.
func (db *DB) FindAdminTask(ctx context.Context, id string) (t AdminTask, err error) {
	err = db.row(ctx, `SELECT `+taskColumns+` FROM admin_tasks WHERE id = $1`, []any{id}, t.dest()...)
	return t, err
}

// TaskQuery chooses tasks; empty fields do not choose.
type TaskQuery struct {
	Tenant                   int64
	Action, Resource, Status string
	Before                   int64 // 0: any time
	Limit                    int64
}

// ListAdminTasks lists tasks, newest first.
func (db *DB) ListAdminTasks(ctx context.Context, q TaskQuery) ([]AdminTask, error) {
	if q.Before == 0 {
		q.Before = 1 << 62
	}
	var out []AdminTask
	err := db.each(ctx, `SELECT `+taskColumns+` FROM admin_tasks WHERE tenant = $1 AND (CAST($2 AS TEXT) = '' OR action = $2)
		AND (CAST($3 AS TEXT) = '' OR resource = $3) AND (CAST($4 AS TEXT) = '' OR status = $4) AND ts < $5 ORDER BY ts DESC, id LIMIT $6`,
		[]any{q.Tenant, q.Action, q.Resource, q.Status, q.Before, q.Limit}, func(r *sql.Rows) error {
			var t AdminTask
			err := r.Scan(t.dest()...)
			out = append(out, t)
			return err
		})
	return out, err
}

// DeleteAdminTasks forgets tasks that were done before a time.
func DeleteAdminTasks(before int64) Guard {
	return Guard{sql: `DELETE FROM admin_tasks WHERE ts < $1 AND status IN ('complete', 'failed')`, args: []any{before}, want: anyRows}
}

// KeepJob makes the lease of this node on a job last until an instant; it fails when the node has lost it.
func (db *DB) KeepJob(nid, until int64) Guard {
	return Guard{sql: `UPDATE jobs SET lease = $3 WHERE nid = $1 AND holder = $2`, args: []any{nid, db.node, until}, want: 1, fail: ErrLeaseLost}
}

// membershipIn is the membership that an event's JSON says; "" when it says none.
func membershipIn(body []byte) string {
	var e struct {
		Content struct {
			Membership string `json:"membership"`
		} `json:"content"`
	}
	if matrix.Decode(body, &e) != nil {
		return ""
	}
	return e.Content.Membership
}

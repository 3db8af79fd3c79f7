package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Pusher is a place where a user wants to be notified.
type Pusher struct {
	NID, User, Tenant int64
	// Device set it; Session did where there is no device.
	Device, Session int64
	AppID, PushKey  string
	Kind, URL       string
	AppName         string
	DeviceName      string
	ProfileTag      string
	Lang            string
	Data            []byte // JSON
	Enabled         bool
	SetAt           int64
	// Pos is where in the stream it began.
	Pos int64
	// DeviceID is the name of Device, "" without one. It is read only.
	DeviceID matrix.DeviceID
}

// PusherRow sets a pusher: one that is there keeps its number and its place in the stream.
type PusherRow struct {
	At
	Pusher
}

var pushersTable = newTable("pushers", `usr:i app_id:t pushkey:t nid:i tenant:i device:i session:i kind:t url:t app_name:t device_name:t
	profile_tag:t lang:t data:b enabled:i set_at:i pos:i`, 3,
	`ON CONFLICT (usr, app_id, pushkey) DO UPDATE SET device = excluded.device, session = excluded.session, kind = excluded.kind,
	url = excluded.url, app_name = excluded.app_name, device_name = excluded.device_name, profile_tag = excluded.profile_tag,
	lang = excluded.lang, data = excluded.data, enabled = excluded.enabled, set_at = excluded.set_at,
	pos = CASE WHEN pushers.enabled = 0 THEN excluded.pos ELSE pushers.pos END`)

func (*PusherRow) table() *table { return pushersTable }
func (r *PusherRow) args(dst []any) []any {
	p := &r.Pusher
	return append(dst, p.User, p.AppID, p.PushKey, p.NID, p.Tenant, p.Device, p.Session, p.Kind, p.URL, p.AppName, p.DeviceName,
		p.ProfileTag, p.Lang, p.Data, asInt(p.Enabled), p.SetAt, r.At.Pos)
}

const pusherQuery = `SELECT p.nid, p.usr, p.tenant, p.device, p.session, p.app_id, p.pushkey, p.kind, p.url, p.app_name, p.device_name,
	p.profile_tag, p.lang, p.data, p.enabled, p.set_at, p.pos, COALESCE(d.device_id, '')
	FROM pushers p LEFT JOIN devices d ON d.nid = p.device `

func (db *DB) pushers(ctx context.Context, text string, args ...any) ([]Pusher, error) {
	var out []Pusher
	err := db.each(ctx, pusherQuery+text, args, func(r *sql.Rows) error {
		var p Pusher
		var enabled int64
		err := r.Scan(&p.NID, &p.User, &p.Tenant, &p.Device, &p.Session, &p.AppID, &p.PushKey, &p.Kind, &p.URL, &p.AppName,
			&p.DeviceName, &p.ProfileTag, &p.Lang, &p.Data, &enabled, &p.SetAt, &p.Pos, &p.DeviceID)
		p.Enabled = enabled != 0
		out = append(out, p)
		return err
	})
	return out, err
}

// ListPushersOf lists the pushers of a user, oldest first.
func (db *DB) ListPushersOf(ctx context.Context, user int64) ([]Pusher, error) {
	return db.pushers(ctx, `WHERE p.usr = $1 ORDER BY p.pos, p.nid`, user)
}

// FindPusher reads a pusher by its number; ErrNotFound when it is gone.
func (db *DB) FindPusher(ctx context.Context, nid int64) (Pusher, error) {
	found, err := db.pushers(ctx, `WHERE p.nid = $1`, nid)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Pusher{}, err
	}
	return found[0], nil
}

// ListPusherOwners lists the users who have a pusher of this key and application.
func (db *DB) ListPusherOwners(ctx context.Context, appID, pushKey string) ([]int64, error) {
	return db.numbers(ctx, `SELECT usr FROM pushers WHERE pushkey = $1 AND app_id = $2 ORDER BY usr`, pushKey, appID)
}

// DeletePusher removes a user's pusher.
func DeletePusher(user int64, appID, pushKey string) Guard {
	return Guard{sql: `DELETE FROM pushers WHERE usr = $1 AND app_id = $2 AND pushkey = $3`, args: []any{user, appID, pushKey}, want: anyRows}
}

// DeletePusherSet removes a pusher, unless it was set again meanwhile.
func DeletePusherSet(nid, setAt int64) Guard {
	return Guard{sql: `DELETE FROM pushers WHERE nid = $1 AND set_at = $2`, args: []any{nid, setAt}, want: anyRows}
}

// DeleteSessionPushers removes the pushers that a session without a device has set.
func DeleteSessionPushers(user, session int64) Guard {
	return Guard{sql: `DELETE FROM pushers WHERE usr = $1 AND device = 0 AND session = $2`, args: []any{user, session}, want: anyRows}
}

// PusherProgress is how far a pusher has been told.
type PusherProgress struct {
	Pusher int64
	// Behind is how far, 0 when it is as far as the common cursor.
	Behind int64
	// Since is when its gateway began to fail, 0 while it does not; Retry when it is tried next; Reason why it failed.
	Since, Retry int64
	// Success is when its gateway last took something.
	Success int64
	Reason  string
}

// PusherProgressRow sets how far a pusher has been told.
type PusherProgressRow struct{ PusherProgress }

var pusherProgressTable = newTable("pusher_progress", "pusher:i behind:i since:i retry:i success:i reason:t", 1, "update")

func (*PusherProgressRow) table() *table { return pusherProgressTable }
func (r *PusherProgressRow) args(dst []any) []any {
	return append(dst, r.Pusher, r.Behind, r.Since, r.Retry, r.Success, r.Reason)
}

// PrunePusherProgress forgets the places of pushers that are gone. Numbers are never given again, so that none of them comes back.
func (db *DB) PrunePusherProgress(ctx context.Context) error {
	gone, err := db.numbers(ctx, `SELECT g.pusher FROM pusher_progress g WHERE NOT EXISTS (SELECT 1 FROM pushers p WHERE p.nid = g.pusher)`)
	if err != nil {
		return err
	}
	return db.eatEach(ctx, `DELETE FROM pusher_progress WHERE pusher IN`, gone)
}

// PushCursorRow moves the common cursor.
type PushCursorRow struct{ Pos int64 }

var pushCursorTable = newTable("push_cursor", "id:i pos:i", 1, "update")

func (*PushCursorRow) table() *table          { return pushCursorTable }
func (r *PushCursorRow) args(dst []any) []any { return append(dst, int64(1), r.Pos) }

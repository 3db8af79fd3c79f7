package storage

import (
	"context"
	"database/sql"
	"errors"
)

// ActivePusher is a pusher that is to be told, as whoever tells it needs it.
type ActivePusher struct {
	NID, User  int64
	AppID, URL string
	SetAt, Pos int64
	PusherProgress
}

// ListActivePushers lists the pushers by HTTP that are enabled and whose users may use their accounts; of one user, or of all (0).
func (db *DB) ListActivePushers(ctx context.Context, user int64) ([]ActivePusher, error) {
	text := `SELECT p.nid, p.usr, p.app_id, p.url, p.set_at, p.pos, COALESCE(g.behind, 0), COALESCE(g.since, 0), COALESCE(g.retry, 0),
		COALESCE(g.success, 0), COALESCE(g.reason, '')
		FROM pushers p JOIN users u ON u.nid = p.usr LEFT JOIN pusher_progress g ON g.pusher = p.nid
		WHERE p.kind = 'http' AND p.enabled = 1 AND (u.flags & $1) = 0`
	args := []any{int64(UserDeactivated | UserLocked | UserExpired)}
	if user != 0 {
		text += ` AND p.usr = $2`
		args = append(args, user)
	}
	var out []ActivePusher
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var p ActivePusher
		err := r.Scan(&p.NID, &p.User, &p.AppID, &p.URL, &p.SetAt, &p.Pos, &p.Behind, &p.Since, &p.Retry, &p.Success, &p.Reason)
		p.Pusher = p.NID
		out = append(out, p)
		return err
	})
	return out, err
}

// CountPushersFailing counts the enabled pushers that fail for a reason, by the address of their gateways.
func (db *DB) CountPushersFailing(ctx context.Context, reason string) (map[string]int64, error) {
	out := map[string]int64{}
	err := db.each(ctx, `SELECT p.url, COUNT(*) FROM pusher_progress g JOIN pushers p ON p.nid = g.pusher
		WHERE g.reason = $1 AND p.enabled = 1 GROUP BY p.url`, []any{reason}, func(r *sql.Rows) error {
		var address string
		var n int64
		err := r.Scan(&address, &n)
		out[address] = n
		return err
	})
	return out, err
}

// FindPushCursor is how far the stream was read for all pushers; 0 when it never was.
func (db *DB) FindPushCursor(ctx context.Context) (pos int64, err error) {
	err = db.row(ctx, `SELECT pos FROM push_cursor WHERE id = 1`, nil, &pos)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return pos, err
}

// PushChange is an entry of the stream that may make somebody be notified: an event, a membership or a receipt.
type PushChange struct {
	Pos        int64
	Kind       Kind
	Room, User int64
	// The event's, where it is one.
	Event, Sender int64
	Flags         EventFlag
	Thread        int64
}

// ListPushChanges lists such entries in (after, upto], in order.
func (db *DB) ListPushChanges(ctx context.Context, after, upto int64, limit int) ([]PushChange, error) {
	return db.pushChanges(ctx, `SELECT c.pos, c.kind, c.room, c.usr, COALESCE(e.nid, 0), COALESCE(e.sender, 0), COALESCE(e.flags, 0),
		COALESCE(e.thread, 0) FROM changes c LEFT JOIN events e ON c.kind = $1 AND e.room = c.room AND e.pos = c.pos
		WHERE c.pos > $2 AND c.pos <= $3 AND c.kind IN ($1, $4, $5) ORDER BY c.pos LIMIT $6`,
		int64(KindEvent), after, upto, int64(KindMembership), int64(KindReceipt), int64(limit))
}

// ListPushEventsOf lists the events in (after, upto] that may notify a user, in the rooms that he is in.
func (db *DB) ListPushEventsOf(ctx context.Context, user, after, upto int64, limit int) ([]PushChange, error) {
	return db.pushChanges(ctx, `SELECT e.pos, CAST($1 AS BIGINT), e.room, m.usr, e.nid, e.sender, e.flags, e.thread
		FROM memberships m JOIN events e ON e.room = m.room AND e.pos > $3 AND e.pos <= $4
		WHERE m.usr = $2 AND m.membership = $5 AND e.sender <> $2 AND (e.flags & $6) <> 0 ORDER BY e.pos LIMIT $7`,
		int64(KindEvent), user, after, upto, int64(MemberJoin), int64(FlagNotify|FlagHits), int64(limit))
}

// ListPushInvitesOf lists the invitations of a user in (after, upto] that he has not answered.
func (db *DB) ListPushInvitesOf(ctx context.Context, user, after, upto int64, limit int) ([]PushChange, error) {
	return db.pushChanges(ctx, `SELECT m.pos, CAST($1 AS BIGINT), m.room, m.usr, m.event, 0, 0, 0 FROM memberships m
		WHERE m.usr = $2 AND m.membership = $3 AND m.pos > $4 AND m.pos <= $5 ORDER BY m.pos LIMIT $6`,
		int64(KindMembership), user, int64(MemberInvite), after, upto, int64(limit))
}

func (db *DB) pushChanges(ctx context.Context, text string, args ...any) ([]PushChange, error) {
	var out []PushChange
	err := db.each(ctx, text, args, func(r *sql.Rows) error {
		var c PushChange
		err := r.Scan(&c.Pos, &c.Kind, &c.Room, &c.User, &c.Event, &c.Sender, &c.Flags, &c.Thread)
		out = append(out, c)
		return err
	})
	return out, err
}

// ListPushAudience lists the users in a room who have pushers.
func (db *DB) ListPushAudience(ctx context.Context, room int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT m.usr FROM memberships m WHERE m.room = $1 AND m.membership = $2
		AND EXISTS (SELECT 1 FROM pushers p WHERE p.usr = m.usr) ORDER BY m.usr`, room, int64(MemberJoin))
}

// ListEventHits lists all corrections of what one event counts.
func (db *DB) ListEventHits(ctx context.Context, room, pos int64) ([]PushHit, error) {
	var out []PushHit
	err := db.each(ctx, `SELECT usr, pos, thread, notify, highlight FROM push_hits WHERE room = $1 AND pos = $2`, []any{room, pos},
		func(r *sql.Rows) error {
			var h PushHit
			err := r.Scan(&h.User, &h.Pos, &h.Thread, &h.Notify, &h.Highlight)
			out = append(out, h)
			return err
		})
	return out, err
}

// ListPerhapsUnread lists the rooms of a user in which something may be unread: all in which it is, and perhaps some more.
func (db *DB) ListPerhapsUnread(ctx context.Context, user int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT m.room FROM memberships m JOIN rooms r ON r.nid = m.room
		WHERE m.usr = $1 AND m.membership = $2 AND (NOT EXISTS (SELECT 1 FROM receipts x WHERE x.room = m.room AND x.usr = $1
			AND x.notify >= r.notify AND (x.thread = '' OR x.thread = 'main' AND r.tnotify = 0))
		OR EXISTS (SELECT 1 FROM push_hits h WHERE h.usr = $1 AND h.room = m.room AND h.notify > 0 AND h.pos > COALESCE(
			(SELECT MIN(y.event_pos) FROM receipts y WHERE y.room = m.room AND y.usr = $1 AND y.thread IN ('', 'main')), 0)))`,
		user, int64(MemberJoin))
}

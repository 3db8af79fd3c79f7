package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Closure is something in a room that the policy does not want there.
type Closure struct {
	Room int64
	// Subject is a server with members in the room, or a user of one who is invited or knocks; Kind is joined, invite or knock.
	Subject, Kind string
	Server        matrix.ServerName
	// Tenant is the server of ours for which it is so.
	Tenant       matrix.ServerName
	Rule, Answer string
	Since        int64
}

// ClosureRow keeps a closure; one that is known stays since when it is.
type ClosureRow struct{ Closure }

var closuresTable = newTable("closures", "room:i tenant:t subject:t kind:t server:t rule:t answer:t since:i", 3,
	`ON CONFLICT (room, tenant, subject) DO UPDATE SET kind = excluded.kind, rule = excluded.rule, answer = excluded.answer`)

func (*ClosureRow) table() *table { return closuresTable }
func (r *ClosureRow) args(dst []any) []any {
	return append(dst, r.Room, string(r.Tenant), r.Subject, r.Kind, string(r.Server), r.Rule, r.Answer, r.Since)
}

// DropClosure forgets a closure that is over.
func DropClosure(c Closure) Guard {
	return Guard{sql: `DELETE FROM closures WHERE room = $1 AND tenant = $2 AND subject = $3`,
		args: []any{c.Room, string(c.Tenant), c.Subject}, want: anyRows}
}

// ListClosures lists all that is known.
func (db *DB) ListClosures(ctx context.Context) ([]Closure, error) {
	var out []Closure
	err := db.each(ctx, `SELECT room, tenant, subject, kind, server, rule, answer, since FROM closures ORDER BY room, tenant, subject`, nil,
		func(r *sql.Rows) error {
			var c Closure
			err := r.Scan(&c.Room, &c.Tenant, &c.Subject, &c.Kind, &c.Server, &c.Rule, &c.Answer, &c.Since)
			out = append(out, c)
			return err
		})
	return out, err
}

// Stranger is a user of another server who stands in a room.
type Stranger struct {
	Room       int64
	User       matrix.UserID
	Membership Membership
}

// EachStranger calls fn for everybody who is no account of this installation and is invited or knocks, or, when joined is set, is
// joined; room by room, or of one room unless it is 0.
func (db *DB) EachStranger(ctx context.Context, room int64, joined bool, fn func(Stranger) error) error {
	query := `SELECT m.room, i.user_id, m.membership FROM memberships m JOIN user_ids i ON i.nid = m.usr
		WHERE m.membership IN ($1, $2, $3) AND NOT EXISTS (SELECT 1 FROM users u WHERE u.nid = m.usr)`
	args := []any{int64(MemberInvite), int64(MemberKnock), int64(MemberKnock)}
	if joined {
		args[2] = int64(MemberJoin)
	}
	if room != 0 {
		query, args = query+` AND m.room = $4`, append(args, room)
	}
	return db.each(ctx, query+` ORDER BY m.room, m.usr`, args, func(r *sql.Rows) error {
		var s Stranger
		if err := r.Scan(&s.Room, &s.User, &s.Membership); err != nil {
			return err
		}
		return fn(s)
	})
}

// HeldRow keeps an event back from a server until its room is open again.
type HeldRow struct {
	Room, Event  int64
	Origin, Dest matrix.ServerName
}

var heldTable = newTable("held_events", "room:i event:i origin:t dest:t", 4, "ignore")

func (*HeldRow) table() *table { return heldTable }
func (r *HeldRow) args(dst []any) []any {
	return append(dst, r.Room, r.Event, string(r.Origin), string(r.Dest))
}

// ListHeldRooms lists the rooms of which something is held back.
func (db *DB) ListHeldRooms(ctx context.Context) ([]int64, error) {
	var out []int64
	err := db.each(ctx, `SELECT DISTINCT room FROM held_events ORDER BY room`, nil, func(r *sql.Rows) error {
		var room int64
		err := r.Scan(&room)
		out = append(out, room)
		return err
	})
	return out, err
}

// ListHeld lists what is held back of a room, in the order in which it was written.
func (db *DB) ListHeld(ctx context.Context, room int64) ([]HeldRow, error) {
	var out []HeldRow
	err := db.each(ctx, `SELECT room, event, origin, dest FROM held_events WHERE room = $1 ORDER BY event, origin, dest`, []any{room},
		func(r *sql.Rows) error {
			var h HeldRow
			err := r.Scan(&h.Room, &h.Event, &h.Origin, &h.Dest)
			out = append(out, h)
			return err
		})
	return out, err
}

// ReleaseHeld forgets what was held back of a room.
func ReleaseHeld(room int64) Guard {
	return Guard{sql: `DELETE FROM held_events WHERE room = $1`, args: []any{room}, want: anyRows}
}

// ListUntold lists events of a room that another server may not have been told yet: those that are held back from it, and those in the outbox beyond
// where it was last known to stand.
func (db *DB) ListUntold(ctx context.Context, room int64, server matrix.ServerName) ([]int64, error) {
	return db.numbers(ctx, `SELECT event FROM held_events WHERE room = $1 AND dest = $2 UNION
		SELECT event FROM outbox WHERE room = $1 AND event <> 0 AND pos > COALESCE((SELECT MIN(pos) FROM destinations WHERE server = $2), 0)`,
		room, string(server))
}

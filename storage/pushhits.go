package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// Everybody is the user number of push hits that concern all members of a room.
const Everybody int64 = 0

// PushHitRow corrects what an event counts for one user, or for Everybody, against its default outcome.
type PushHitRow struct {
	User int64
	// Event is the row of the event, in the same Change.
	Event *EventRow
	// Notify and Highlight are -1, 0 or +1 against the event's flags.
	Notify, Highlight int64
}

var pushHitsTable = newTable("push_hits", "usr:i room:i pos:i thread:i notify:i highlight:i", 3, "ignore")

func (*PushHitRow) table() *table { return pushHitsTable }

func (r *PushHitRow) args(dst []any) []any {
	return append(dst, r.User, r.Event.Room, r.Event.Pos, r.Event.Thread, r.Notify, r.Highlight)
}

// PushHit is a correction as it is read.
type PushHit struct {
	User, Pos, Thread int64
	Notify, Highlight int64
}

// ListPushHits lists the corrections for a user, and those for Everybody, at events of a room behind a position.
func (db *DB) ListPushHits(ctx context.Context, user, room, after int64) ([]PushHit, error) {
	var out []PushHit
	for _, who := range [...]int64{user, Everybody} {
		err := db.each(ctx, `SELECT usr, pos, thread, notify, highlight FROM push_hits WHERE usr = $1 AND room = $2 AND pos > $3
			ORDER BY pos`, []any{who, room, after}, func(r *sql.Rows) error {
			var h PushHit
			err := r.Scan(&h.User, &h.Pos, &h.Thread, &h.Notify, &h.Highlight)
			out = append(out, h)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ListPushHitsIn lists for each of some rooms what ListPushHits does for one.
func (db *DB) ListPushHitsIn(ctx context.Context, user int64, list []RoomFrom) (map[int64][]PushHit, error) {
	out := map[int64][]PushHit{}
	err := db.eachFrom(ctx, list, `SELECT h.room, h.usr, h.pos, h.thread, h.notify, h.highlight FROM w
		JOIN push_hits h ON h.usr IN ($1, $2) AND h.room = w.room AND h.pos > w.place`, []any{user, Everybody}, func(r *sql.Rows) error {
		var room int64
		var h PushHit
		err := r.Scan(&room, &h.User, &h.Pos, &h.Thread, &h.Notify, &h.Highlight)
		out[room] = append(out[room], h)
		return err
	})
	return out, err
}

// ListThreadCounts counts, for each thread of a room, the events behind a position that notify by default.
func (db *DB) ListThreadCounts(ctx context.Context, room, after int64) (map[int64]int64, error) {
	out := map[int64]int64{}
	err := db.each(ctx, `SELECT thread, COUNT(*) FROM events WHERE room = $1 AND pos > $2 AND thread <> 0 AND (flags & $3) <> 0
		GROUP BY thread`, []any{room, after, int64(FlagNotify)}, func(r *sql.Rows) error {
		var thread, n int64
		err := r.Scan(&thread, &n)
		out[thread] = n
		return err
	})
	return out, err
}

// CountThread counts the events of one thread in (after, upto] that notify by default.
func (db *DB) CountThread(ctx context.Context, room, thread, after, upto int64) (int64, error) {
	var n int64
	err := db.row(ctx, `SELECT COUNT(*) FROM events WHERE room = $1 AND thread = $2 AND thread <> 0 AND pos > $3 AND pos <= $4
		AND (flags & $5) <> 0`, []any{room, thread, after, upto, int64(FlagNotify)}, &n)
	return n, err
}

// PushRules is what a user has stored of what decides on his notifications: m.push_rules or m.ignored_user_list.
type PushRules struct {
	User    int64
	Type    string
	Content []byte
}

// ListPushRules lists the push rules and ignored users of all users who have set any.
// Why CROSS JOIN: SQLite would walk all account data of the installation; so it goes from user to user.
func (db *DB) ListPushRules(ctx context.Context) ([]PushRules, error) {
	var out []PushRules
	err := db.each(ctx, `SELECT a.usr, a.type, a.content FROM users u CROSS JOIN account_data a
		WHERE a.usr = u.nid AND a.room = 0 AND a.type IN ($1, $2)`, []any{"m.push_rules", "m.ignored_user_list"}, func(r *sql.Rows) error {
		var p PushRules
		err := r.Scan(&p.User, &p.Type, &p.Content)
		out = append(out, p)
		return err
	})
	return out, err
}

// NamedMember is a local user in a room, with the name of his profile.
type NamedMember struct {
	User        int64
	ID          matrix.UserID
	DisplayName string
}

// ListNamedMembers lists the local users who are in a room.
func (db *DB) ListNamedMembers(ctx context.Context, room int64) ([]NamedMember, error) {
	var out []NamedMember
	err := db.each(ctx, `SELECT m.usr, i.user_id, u.display_name FROM memberships m JOIN users u ON u.nid = m.usr
		JOIN user_ids i ON i.nid = m.usr WHERE m.room = $1 AND m.membership = $2`, []any{room, int64(MemberJoin)},
		func(r *sql.Rows) error {
			var m NamedMember
			err := r.Scan(&m.User, &m.ID, &m.DisplayName)
			out = append(out, m)
			return err
		})
	return out, err
}

// EventThread is an event's number and that of the thread it is in, 0 for none.
type EventThread struct{ NID, Thread int64 }

// FindEventThread finds an event of a room by the hash of its id; ErrNotFound when it is not known.
func (db *DB) FindEventThread(ctx context.Context, room, idHash int64) (EventThread, error) {
	var t EventThread
	// Why + 0: SQLite would choose the index on the room and walk through all its events.
	err := db.row(ctx, `SELECT nid, thread FROM events WHERE id_hash = $1 AND room + 0 = $2 LIMIT 1`, []any{idHash, room}, &t.NID, &t.Thread)
	return t, err
}

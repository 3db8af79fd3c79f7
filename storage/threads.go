package storage

import (
	"context"
	"database/sql"

	"rempart/internal/matrix"
)

// ThreadSubscription is what a user said of a thread, which is named by the number of its root.
type ThreadSubscription struct {
	User, Room, Thread    int64
	Subscribed, Automatic bool
	Pos                   int64
	// RoomID and Root are filled in by lists.
	RoomID matrix.RoomID
	Root   matrix.EventID
}

// ThreadSubscriptionRow stores it; its Change carries an entry of KindThreads.
type ThreadSubscriptionRow struct {
	At
	ThreadSubscription
}

var threadSubscriptionsTable = newTable("thread_subscriptions", "usr:i room:i thread:i subscribed:i automatic:i pos:i", 3, "update")

func (*ThreadSubscriptionRow) table() *table { return threadSubscriptionsTable }
func (r *ThreadSubscriptionRow) args(dst []any) []any {
	return append(dst, r.User, r.Room, r.Thread, asInt(r.Subscribed), asInt(r.Automatic), r.At.Pos)
}

// FindThreadSubscription is what a user said of a thread, or ErrNotFound.
func (db *DB) FindThreadSubscription(ctx context.Context, user, room, thread int64) (ThreadSubscription, error) {
	s := ThreadSubscription{User: user, Room: room, Thread: thread}
	var subscribed, automatic int64
	err := db.row(ctx, `SELECT subscribed, automatic, pos FROM thread_subscriptions WHERE usr = $1 AND room = $2 AND thread = $3`,
		[]any{user, room, thread}, &subscribed, &automatic, &s.Pos)
	s.Subscribed, s.Automatic = subscribed != 0, automatic != 0
	return s, err
}

// ListThreadSubscriptions lists the last word of a user on each thread of which he changed it in (after, upto], newest first.
func (db *DB) ListThreadSubscriptions(ctx context.Context, user, after, upto int64, limit int) ([]ThreadSubscription, error) {
	var out []ThreadSubscription
	err := db.each(ctx, `SELECT s.room, s.thread, s.subscribed, s.automatic, s.pos, r.room_id, j.id FROM thread_subscriptions s
		JOIN rooms r ON r.nid = s.room JOIN event_json j ON j.nid = s.thread
		WHERE s.usr = $1 AND s.pos > $2 AND s.pos <= $3 ORDER BY s.pos DESC LIMIT $4`, []any{user, after, upto, int64(limit)}, func(r *sql.Rows) error {
		s := ThreadSubscription{User: user}
		var subscribed, automatic int64
		err := r.Scan(&s.Room, &s.Thread, &subscribed, &automatic, &s.Pos, &s.RoomID, &s.Root)
		s.Subscribed, s.Automatic = subscribed != 0, automatic != 0
		out = append(out, s)
		return err
	})
	return out, err
}

// EachThreadSubscriber calls fn with what each user, or one if user is not 0, said of each thread.
func (db *DB) EachThreadSubscriber(ctx context.Context, user int64, fn func(user, thread int64, subscribed bool) error) error {
	return db.each(ctx, `SELECT usr, thread, subscribed FROM thread_subscriptions WHERE usr = $1 OR $1 = 0`, []any{user}, func(r *sql.Rows) error {
		var who, thread, subscribed int64
		if err := r.Scan(&who, &thread, &subscribed); err != nil {
			return err
		}
		return fn(who, thread, subscribed != 0)
	})
}

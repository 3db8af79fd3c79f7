package storage

import (
	"context"
	"database/sql"
	"math"
)

// RelationRow says that one event relates to another. Spec: client-server-api/#forming-relationships-between-events
type RelationRow struct {
	At
	Target        int64 // hash of the id of the event that is related to
	Event, Room   int64
	RelType, Type string // type of the relation, of the relating event
	Sender        int64
}

var relationsTable = newTable("relations", "target:i event:i room:i pos:i rel_type:t type:t sender:i", 2, "ignore")

func (*RelationRow) table() *table { return relationsTable }

func (r *RelationRow) args(dst []any) []any {
	return append(dst, r.Target, r.Event, r.Room, r.Pos, r.RelType, r.Type, r.Sender)
}

// DropRelation is the guard that makes an event relate to nothing any more.
func DropRelation(event int64) Guard {
	return Guard{sql: `DELETE FROM relations WHERE event = $1`, args: []any{event}, want: anyRows}
}

// RelationQuery chooses relations to one event. Empty texts choose all.
type RelationQuery struct {
	Room, Target  int64
	RelType, Type string
	// After and Upto bound the positions: After < position ≤ Upto.
	After, Upto int64
	Backward    bool
	Limit       int
}

// ListRelations lists the events that relate to another, by position.
func (db *DB) ListRelations(ctx context.Context, q RelationQuery) ([]int64, error) {
	text := `SELECT event FROM relations WHERE target = $1 AND room = $2 AND pos > $3 AND pos <= $4
		AND (rel_type = $5 OR $5 = '') AND (type = $6 OR $6 = '') ORDER BY pos, event LIMIT $7`
	if q.Backward {
		text = `SELECT event FROM relations WHERE target = $1 AND room = $2 AND pos > $3 AND pos <= $4
			AND (rel_type = $5 OR $5 = '') AND (type = $6 OR $6 = '') ORDER BY pos DESC, event DESC LIMIT $7`
	}
	return db.numbers(ctx, text, q.Target, q.Room, q.After, q.Upto, q.RelType, q.Type, int64(q.Limit))
}

// RelationCount sums up the relations of one type to one event.
type RelationCount struct {
	Target  int64
	RelType string
	Count   int64
	Own     int64 // how many of them one user sent
}

// CountRelations sums up what relates to events, by event and type of relation. own is the user whose events are
// counted apart.
func (db *DB) CountRelations(ctx context.Context, room, own int64, targets []int64) ([]RelationCount, error) {
	var out []RelationCount
	err := db.eachIn(ctx, `SELECT target, rel_type, COUNT(*), SUM(CASE WHEN sender = $2 THEN 1 ELSE 0 END) FROM relations
		WHERE room = $1 AND target IN`, targets, ` GROUP BY target, rel_type`, func(r *sql.Rows) error {
		var c RelationCount
		err := r.Scan(&c.Target, &c.RelType, &c.Count, &c.Own)
		out = append(out, c)
		return err
	}, room, own)
	return out, err
}

// Thread is a thread's root, by the hash of its id, and the position of its last event.
type Thread struct{ Target, Last int64 }

// ListThreads lists a room's threads whose last event stands before a position, newest first. own, unless 0, asks for
// threads in which that user wrote or whose root is his.
// Why "room + 0": SQLite would look for the root among all events of the room, for each event of each thread.
func (db *DB) ListThreads(ctx context.Context, room, before, own int64, limit int) ([]Thread, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	var out []Thread
	err := db.each(ctx, `SELECT t.target, MAX(t.pos) AS last FROM relations t WHERE t.room = $1 AND t.rel_type = 'm.thread'
		AND ($2 = 0 OR EXISTS (SELECT 1 FROM relations o WHERE o.target = t.target AND o.rel_type = 'm.thread' AND o.sender = $2)
			OR EXISTS (SELECT 1 FROM events e WHERE e.id_hash = t.target AND e.room + 0 = $1 AND e.sender = $2))
		GROUP BY t.target HAVING MAX(t.pos) < $3 ORDER BY last DESC LIMIT $4`,
		[]any{room, own, before, int64(limit)}, func(r *sql.Rows) error {
			var t Thread
			err := r.Scan(&t.Target, &t.Last)
			out = append(out, t)
			return err
		})
	return out, err
}

package storage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"slices"
	"strings"
	"sync/atomic"

	"rempart/internal/matrix"
)

// ServerSet is a set of other servers. It is immutable and known by its content: equal sets have equal ids.
type ServerSet struct {
	id    [16]byte
	names []matrix.ServerName
	saved atomic.Bool
}

// NewServerSet makes a set; nil when there are no names.
func NewServerSet(names []matrix.ServerName) *ServerSet {
	if len(names) == 0 {
		return nil
	}
	names = slices.Clone(names)
	slices.Sort(names)
	s := &ServerSet{names: slices.Compact(names)}
	sum := sha256.Sum256([]byte(s.text()))
	copy(s.id[:], sum[:])
	return s
}

func (s *ServerSet) text() string {
	var sb strings.Builder
	for i, n := range s.names {
		if i > 0 {
			sb.WriteByte(' ')
		}
		sb.WriteString(string(n))
	}
	return sb.String()
}

// Names are the servers, sorted; they must not be changed.
func (s *ServerSet) Names() []matrix.ServerName {
	if s == nil {
		return nil
	}
	return s.names
}

// Saved notes that the set's row is committed, so that no further Change needs to add it.
func (s *ServerSet) Saved() { s.saved.Store(true) }

// serverSetRow adds a set unless it is there.
type serverSetRow struct{ *ServerSet }

var serverSetsTable = newTable("server_sets", "id:b names:t", 1, "ignore")

func (serverSetRow) table() *table          { return serverSetsTable }
func (r serverSetRow) args(dst []any) []any { return append(dst, r.id[:], r.text()) }

// OutboxRow says that other servers are to be told an event, or a message that must arrive. Add it by [Change.Post].
type OutboxRow struct {
	At
	Part        int64 // tells apart several rows of one place
	Event, Room int64
	// Origin is which of our servers says it.
	Origin matrix.ServerName
	// Targets are the servers to be told, Extra one besides.
	Targets *ServerSet
	Extra   matrix.ServerName
	// EDU is the type of a message, "" for events; Body is what its kind defines.
	EDU  string
	Body []byte

	targets []byte // as read
}

var outboxTable = newTable("outbox", "pos:i part:i event:i room:i origin:t targets:b extra:t edu:t body:b", 2, "")

func (*OutboxRow) table() *table { return outboxTable }
func (r *OutboxRow) args(dst []any) []any {
	targets, body := []byte{}, r.Body
	if r.Targets != nil {
		targets = r.Targets.id[:]
	}
	if body == nil {
		body = []byte{}
	}
	return append(dst, r.Pos, r.Part, r.Event, r.Room, string(r.Origin), targets, string(r.Extra), r.EDU, body)
}

// Post adds an outbox row with its set of servers.
func (c *Change) Post(r *OutboxRow) {
	if r.Targets != nil && !r.Targets.saved.Load() {
		c.Add(serverSetRow{r.Targets})
	}
	c.Add(r)
}

// ListOutbox lists what is to be told behind a place and up to a position, in order.
func (db *DB) ListOutbox(ctx context.Context, after, afterPart, upto int64, limit int) ([]*OutboxRow, error) {
	var out []*OutboxRow
	err := db.each(ctx, `SELECT pos, part, event, room, origin, targets, extra, edu, body FROM outbox
		WHERE (pos, part) > ($1, $2) AND pos <= $3 ORDER BY pos, part LIMIT $4`,
		[]any{after, afterPart, upto, int64(limit)}, func(r *sql.Rows) error {
			o := &OutboxRow{}
			err := r.Scan(&o.Pos, &o.Part, &o.Event, &o.Room, &o.Origin, &o.targets, &o.Extra, &o.EDU, &o.Body)
			out = append(out, o)
			return err
		})
	return out, err
}

// TargetsID names the set of servers of a row that was read; "" is none.
func (r *OutboxRow) TargetsID() string { return string(r.targets) }

// FindServerSet reads a set of servers by the name that rows call it.
func (db *DB) FindServerSet(ctx context.Context, id string) (*ServerSet, error) {
	var text string
	if err := db.row(ctx, `SELECT names FROM server_sets WHERE id = $1`, []any{[]byte(id)}, &text); err != nil {
		return nil, err
	}
	s := &ServerSet{}
	copy(s.id[:], id)
	for name := range strings.FieldsSeq(text) {
		s.names = append(s.names, matrix.ServerName(name))
	}
	s.saved.Store(true)
	return s, nil
}

// PruneOutbox forgets what everybody has been told, all up to a position, in bites. It stops after some, and says whether it is done.
func (db *DB) PruneOutbox(ctx context.Context, upto int64) (bool, error) {
	return db.eat(ctx, bite{table: "outbox", column: "pos"}, upto, bitesAtOnce)
}

// ListRoomServers counts the members of a room by their server.
func (db *DB) ListRoomServers(ctx context.Context, room int64) (map[matrix.ServerName]int, error) {
	out := map[matrix.ServerName]int{}
	err := db.each(ctx, `SELECT i.user_id FROM memberships m JOIN user_ids i ON i.nid = m.usr
		WHERE m.room = $1 AND m.membership = $2`, []any{room, int64(MemberJoin)}, func(r *sql.Rows) error {
		var id matrix.UserID
		err := r.Scan(&id)
		out[id.Server()]++
		return err
	})
	return out, err
}

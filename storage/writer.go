package storage

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/lib/pq"
)

// At is embedded in rows that carry the position of one of their Change's live entries.
type At struct {
	// Live is 1 + the index in Change.Lives; 0 takes no position.
	Live int
	// Pos is filled in at commit.
	Pos int64
}

func (a *At) place(lives []Live) {
	if a.Live > 0 {
		a.Pos = lives[a.Live-1].Pos
	}
}

type placed interface{ place(lives []Live) }

// writer carries one attempt to commit a batch.
type writer struct {
	c     *committer
	batch []*Change
	base  int64 // position before the batch
	pos   int64 // last position given
	lives []Live
	rooms map[int64]*roomState

	tables []*table
	rows   map[*table][]Row
}

// write does everything between BEGIN and COMMIT.
// Round trips on PostgreSQL: begin, stream, rooms, rows, (guards), commit.
func (w *writer) write(ctx context.Context) error {
	if _, err := w.c.exec(ctx, w.c.db.dialect.begin); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	asked := int64(0)
	for _, ch := range w.batch {
		asked += int64(len(ch.Lives))
	}
	if err := w.lock(ctx, asked); err != nil {
		return err
	}
	if err := w.loadRooms(ctx); err != nil {
		return err
	}
	w.rows = map[*table][]Row{}
	for _, ch := range w.batch {
		if err := w.admit(ctx, ch); err != nil {
			return err
		}
	}
	if given := w.pos - w.base; given < asked { // dropped Changes leave no hole in the stream
		if _, err := w.c.exec(ctx, `UPDATE stream SET pos = $1 WHERE id = 1`, w.pos); err != nil {
			return err
		}
	}
	w.add(&nodeRow{w.c.db.node, w.c.batch, nowMS()})
	return w.flush(ctx)
}

// lock takes the stream's row: the counter, and what keeps commits of several nodes in order.
func (w *writer) lock(ctx context.Context, asked int64) error {
	var end, epoch int64
	n, err := w.c.query(ctx, `UPDATE stream SET pos = pos + $1 WHERE id = 1 RETURNING pos, epoch`, []any{asked},
		func(r *sql.Rows) error { return r.Scan(&end, &epoch) })
	if err != nil || n != 1 {
		return fmt.Errorf("take positions: %w", err)
	}
	if epoch != w.c.epoch {
		return fmt.Errorf("the database was restored while this process ran: restart it")
	}
	w.base = end - asked
	w.pos = w.base
	return nil
}

// admit checks one Change, runs its guards and takes its rows in. A Change that does not hold is dropped with its
// error; an error of the database ends the attempt.
func (w *writer) admit(ctx context.Context, ch *Change) error {
	if ch.err = w.checkRooms(ch); ch.err != nil {
		return nil
	}
	held, err := w.runGuards(ctx, ch)
	if err != nil || !held {
		return err
	}
	for i := range ch.Lives {
		w.pos++
		ch.Lives[i].Pos = w.pos
	}
	for _, r := range ch.Rows {
		if p, ok := r.(placed); ok {
			p.place(ch.Lives)
		}
	}
	w.applyRooms(ch)
	for _, l := range ch.Lives {
		w.add(&changeRow{l.Pos, l.Kind, l.Room, l.User})
	}
	w.lives = append(w.lives, ch.Lives...)
	for _, r := range ch.Rows {
		w.add(r)
	}
	return nil
}

// runGuards reports whether all guards of the Change hold. Several guards share a savepoint, so that the effect of
// the first goes when the second fails.
func (w *writer) runGuards(ctx context.Context, ch *Change) (bool, error) {
	if len(ch.Guards) == 0 {
		return true, nil
	}
	if len(ch.Guards) > 1 {
		if _, err := w.c.exec(ctx, "SAVEPOINT guards"); err != nil {
			return false, err
		}
	}
	for i := range ch.Guards {
		g := &ch.Guards[i]
		n, err := w.runGuard(ctx, g)
		if err != nil {
			return false, err
		}
		if g.want == anyRows || n == g.want || g.want == someRows && n > 0 {
			continue
		}
		ch.err = g.fail
		if ch.err == nil {
			ch.err = ErrGuard
		}
		if len(ch.Guards) > 1 {
			_, err = w.c.exec(ctx, "ROLLBACK TO SAVEPOINT guards")
		}
		return false, err
	}
	if len(ch.Guards) > 1 {
		_, err := w.c.exec(ctx, "RELEASE SAVEPOINT guards")
		return true, err
	}
	return true, nil
}

func (w *writer) runGuard(ctx context.Context, g *Guard) (int, error) {
	if g.scan != nil {
		return w.c.query(ctx, g.sql, g.args, g.scan)
	}
	n, err := w.c.exec(ctx, g.sql, g.args...)
	return int(n), err
}

func (w *writer) add(r Row) {
	t := r.table()
	if _, ok := w.rows[t]; !ok {
		w.tables = append(w.tables, t)
	}
	w.rows[t] = append(w.rows[t], r)
}

// flush writes all rows: table by table on SQLite, in one statement on PostgreSQL.
func (w *writer) flush(ctx context.Context) error {
	if w.c.db.dialect.arrays {
		return w.flushArrays(ctx)
	}
	for _, t := range w.tables {
		if err := w.flushValues(ctx, t, w.rows[t]); err != nil {
			return fmt.Errorf("insert into %s: %w", t.name, err)
		}
	}
	for nid, r := range w.rooms {
		if !r.moved {
			continue
		}
		if _, err := w.c.exec(ctx, updateRoomSQL, nid, r.version, encodeNIDs(r.heads), r.depth, r.stateSeq, r.notify, r.tnotify, r.lastPos); err != nil {
			return fmt.Errorf("update room: %w", err)
		}
	}
	return nil
}

// flushValues inserts in chunks of powers of two, which bounds the number of prepared statements.
func (w *writer) flushValues(ctx context.Context, t *table, rows []Row) error {
	args := make([]any, 0, len(t.cols)*min(len(rows), 64))
	for len(rows) > 0 {
		n := 64
		for n > len(rows) {
			n /= 2
		}
		args = args[:0]
		for _, r := range rows[:n] {
			args = r.args(args)
		}
		if _, err := w.c.exec(ctx, t.values(n), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// flushArrays is the PostgreSQL fast path: a network round trip costs more than the work.
func (w *writer) flushArrays(ctx context.Context) error {
	var args []any
	text := "WITH "
	for i, t := range w.tables {
		text += comma(i) + "t" + t.name + " AS (" + t.insertArrays(len(args)+1) + ")"
		args = append(args, t.arrays(t.lastOfEqual(w.rows[t]))...)
	}
	if cols := w.movedRooms(); cols != nil {
		text += ", moved AS (" + fmt.Sprintf(updateRoomsArraysSQL, len(args)+1, len(args)+2, len(args)+3, len(args)+4,
			len(args)+5, len(args)+6, len(args)+7, len(args)+8) + ")"
		args = append(args, cols...)
	}
	text += fmt.Sprintf(" SELECT pg_notify('%s', $%d)", notifyChannel, len(args)+1)
	args = append(args, fmt.Sprint(w.pos))
	_, err := w.c.query(ctx, text, args, func(*sql.Rows) error { return nil })
	return err
}

// arrays turns rows into one array a column.
func (t *table) arrays(rows []Row) []any {
	flat := make([]any, 0, len(rows)*len(t.cols))
	for _, r := range rows {
		flat = r.args(flat)
	}
	out := make([]any, len(t.cols))
	for i, col := range t.cols {
		switch col.typ {
		case intCol:
			a := make(pq.Int64Array, len(rows))
			for j := range rows {
				a[j] = flat[j*len(t.cols)+i].(int64)
			}
			out[i] = a
		case textCol:
			a := make(pq.StringArray, len(rows))
			for j := range rows {
				a[j] = flat[j*len(t.cols)+i].(string)
			}
			out[i] = a
		case bytesCol:
			a := make(pq.ByteaArray, len(rows))
			for j := range rows {
				a[j], _ = flat[j*len(t.cols)+i].([]byte)
			}
			out[i] = a
		}
	}
	return out
}

// lastOfEqual keeps, of rows with the same key in an upsert, the last: one statement may touch a row only once.
func (t *table) lastOfEqual(rows []Row) []Row {
	if t.onConflict == "" || t.key == 0 || len(rows) == 1 {
		return rows
	}
	last := make(map[[4]any]int, len(rows))
	buf := make([]any, 0, len(t.cols))
	for i, r := range rows {
		var k [4]any
		copy(k[:t.key], r.args(buf[:0]))
		last[k] = i
	}
	if len(last) == len(rows) {
		return rows
	}
	kept := make([]Row, 0, len(last))
	for i, r := range rows {
		var k [4]any
		copy(k[:t.key], r.args(buf[:0]))
		if last[k] == i {
			kept = append(kept, r)
		}
	}
	return kept
}

type changeRow struct {
	pos        int64
	kind       Kind
	room, user int64
}

var changesTable = newTable("changes", "pos:i kind:i room:i usr:i", 1, "")

func (*changeRow) table() *table          { return changesTable }
func (r *changeRow) args(dst []any) []any { return append(dst, r.pos, int64(r.kind), r.room, r.user) }

type nodeRow struct{ node, batch, seen int64 }

var nodesTable = newTable("nodes", "node:i batch:i seen:i", 1, "update")

func (*nodeRow) table() *table          { return nodesTable }
func (r *nodeRow) args(dst []any) []any { return append(dst, r.node, r.batch, r.seen) }

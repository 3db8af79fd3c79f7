package storage

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pending holds rows that were admitted and not yet written, by table. Its buffers are kept from batch to batch.
type pending struct {
	rows   map[*table]*tableRows
	active []*tableRows // those with rows, in order of their first one

	args  []any
	buf   []byte            // PostgreSQL: the arrays of a statement
	key   []byte            // PostgreSQL: the buffer of a statement's name in texts
	texts map[string]string // PostgreSQL: statements by the tables that they write
}

type tableRows struct {
	t    *table
	rows []Row
}

func (p *pending) add(r Row) {
	t := r.table()
	tr := p.rows[t]
	if tr == nil {
		tr = &tableRows{t: t}
		p.rows[t] = tr
	}
	if len(tr.rows) == 0 {
		p.active = append(p.active, tr)
	}
	tr.rows = append(tr.rows, r)
}

// keptRows bounds the buffers that stay for the next batch.
const keptRows = 4096

func (p *pending) forget() {
	for _, tr := range p.active {
		clear(tr.rows)
		tr.rows = tr.rows[:0]
		if cap(tr.rows) > keptRows {
			tr.rows = nil
		}
	}
	p.active = p.active[:0]
	clear(p.args[:cap(p.args)])
	p.args = p.args[:0]
	if cap(p.buf) > keptRows*256 {
		p.buf = nil
	}
}

// flush writes all pending rows: table by table on SQLite, in one statement on PostgreSQL. The last flush of a batch
// also writes the rooms that it moved and wakes the other nodes.
func (w *writer) flush(ctx context.Context, last bool) error {
	var err error
	if w.c.db.dialect.arrays {
		err = w.flushArrays(ctx, last)
	} else {
		err = w.flushValues(ctx, last)
	}
	if err != nil {
		return err
	}
	w.pending.forget()
	for _, r := range w.rooms {
		r.fresh = false // from now on the row is there
	}
	return nil
}

func (w *writer) flushValues(ctx context.Context, last bool) error {
	for _, tr := range w.active {
		if err := w.insertValues(ctx, tr.t, tr.rows); err != nil {
			return fmt.Errorf("insert into %s: %w", tr.t.name, err)
		}
	}
	if !last {
		return nil
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

// insertValues inserts in chunks of powers of two, which bounds the number of prepared statements.
func (w *writer) insertValues(ctx context.Context, t *table, rows []Row) error {
	for len(rows) > 0 {
		n := maxRows
		for n > len(rows) {
			n /= 2
		}
		args := w.args[:0]
		for _, r := range rows[:n] {
			args = r.args(args)
		}
		w.args = args
		if _, err := w.c.exec(ctx, t.values(n), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// flushArrays is the PostgreSQL fast path: a network round trip costs more than the work.
func (w *writer) flushArrays(ctx context.Context, last bool) error {
	// Why sorted: there are far fewer sets of tables than orders of them, and each is a statement of its own.
	slices.SortStableFunc(w.active, func(a, b *tableRows) int { return strings.Compare(a.t.name, b.t.name) })
	st := arraysStatement{key: w.key[:0]}
	w.buf = w.buf[:0]
	var later []*tableRows
	for i, tr := range w.active {
		if i > 0 && w.active[i-1].t.name == tr.t.name { // the same table, filled in another way
			later = append(later, tr)
			continue
		}
		rows, repeated := tr.t.once(tr.rows)
		if len(repeated) > 0 {
			later = append(later, &tableRows{tr.t, repeated})
		}
		st.table(tr.t)
		st.args = w.arrays(st.args, tr.t, rows)
	}
	if last {
		st.finish(w.movedRooms(), w.base, w.pos)
	}
	w.key = st.key
	text, known := w.texts[string(st.key)]
	if !known {
		text = st.text()
		w.texts[string(st.key)] = text
	}
	if _, err := w.c.query(ctx, text, st.args, nil); err != nil {
		return fmt.Errorf("insert into %s: %w", st.key, err)
	}
	return w.insertLater(ctx, later)
}

// insertLater writes rows whose key another row of the same statement had: one statement may touch a row only once.
func (w *writer) insertLater(ctx context.Context, left []*tableRows) error {
	for _, tr := range left {
		for rows := tr.rows; len(rows) > 0; {
			var now []Row
			now, rows = tr.t.once(rows)
			w.buf = w.buf[:0]
			if _, err := w.c.exec(ctx, tr.t.insertArrays(1), w.arrays(nil, tr.t, now)...); err != nil {
				return fmt.Errorf("insert into %s: %w", tr.t.name, err)
			}
		}
	}
	return nil
}

// arraysStatement is one statement that fills several tables from arrays. The last one of a batch also writes the
// rooms that moved and tells other nodes the position.
type arraysStatement struct {
	key           []byte // names the text
	tables        []*table
	moved, notify bool
	args          []any
}

func (s *arraysStatement) table(t *table) {
	s.tables = append(s.tables, t)
	s.key = append(append(append(s.key, t.name...), t.onConflict...), ' ')
}

func (s *arraysStatement) finish(moved []any, base, pos int64) {
	if s.moved = moved != nil; s.moved {
		s.key = append(s.key, '+')
		s.args = append(s.args, moved...)
	}
	if s.notify = pos > base; s.notify {
		s.key = append(s.key, '!')
		s.args = append(s.args, strconv.FormatInt(pos, 10))
	}
}

func (s *arraysStatement) text() string {
	var with []string
	n := 0
	for i, t := range s.tables {
		with = append(with, "t"+strconv.Itoa(i)+" AS ("+t.insertArrays(n+1)+")")
		n += len(t.cols)
	}
	if s.moved {
		with = append(with, "moved AS ("+fmt.Sprintf(updateRoomsArraysSQL, n+1, n+2, n+3, n+4, n+5, n+6, n+7, n+8)+")")
		n += 8
	}
	text := "WITH " + strings.Join(with, ", ")
	if s.notify {
		return text + " SELECT pg_notify('" + notifyChannel + "', $" + strconv.Itoa(n+1) + ")"
	}
	return text + " SELECT 1"
}

package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
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
	pending
}

func newWriter(c *committer) writer {
	return writer{c: c, pending: pending{rows: map[*table]*tableRows{}, texts: map[string]string{}}}
}

// forget lets go of the attempt's values, keeping buffers.
func (w *writer) forget() {
	w.batch, w.lives, w.rooms = nil, nil, nil
	w.pending.forget()
}

// write does everything between BEGIN and COMMIT.
// Round trips on PostgreSQL: begin and stream, rooms, (guards), rows; then the commit.
func (w *writer) write(ctx context.Context, batch []*Change) error {
	w.batch = batch
	asked := int64(0)
	for _, ch := range batch {
		asked += int64(len(ch.Lives))
	}
	if err := w.lock(ctx, asked); err != nil {
		return err
	}
	if err := w.loadRooms(ctx); err != nil {
		return err
	}
	w.lives = make([]Live, 0, asked)
	for _, ch := range batch {
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
	return w.flush(ctx, true)
}

// lock begins the transaction and takes the stream's row: the counter, and what keeps commits of several nodes in
// order.
func (w *writer) lock(ctx context.Context, asked int64) error {
	end, epoch, err := w.c.lockStream(ctx, asked)
	if err != nil {
		return fmt.Errorf("take positions: %w", err)
	}
	if epoch != w.c.epoch || w.c.lost.Load() {
		return w.c.abandon()
	}
	w.base = end - asked
	w.pos = w.base
	return nil
}

// lockStream begins a transaction and moves the stream on by asked positions.
func (s *session) lockStream(ctx context.Context, asked int64) (end, epoch int64, err error) {
	if s.db.dialect.arrays { // both in one round trip
		err = s.conn.QueryRowContext(ctx, `BEGIN; UPDATE stream SET pos = pos + `+strconv.FormatInt(asked, 10)+
			` WHERE id = 1 RETURNING pos, epoch`).Scan(&end, &epoch)
		return end, epoch, err
	}
	if err := s.control(ctx, s.db.dialect.begin); err != nil {
		return 0, 0, err
	}
	_, err = s.query(ctx, `UPDATE stream SET pos = pos + $1 WHERE id = 1 RETURNING pos, epoch`, []any{asked},
		func(r *sql.Rows) error { return r.Scan(&end, &epoch) })
	return end, epoch, err
}

// admit checks one Change, runs its guards and takes its rows in. A Change that does not hold is dropped with its
// error; an error of the database ends the attempt.
func (w *writer) admit(ctx context.Context, ch *Change) error {
	if err := w.checkRooms(ctx, ch); err != nil {
		if errors.Is(err, ErrStale) || errors.Is(err, ErrNotFound) {
			ch.err = err
			return nil
		}
		return err
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
	for i := range ch.Lives {
		l := &ch.Lives[i]
		w.add(&changeRow{l.Pos, l.Kind, l.Room, l.User})
	}
	w.lives = append(w.lives, ch.Lives...)
	for _, r := range ch.Rows {
		w.add(r)
	}
	return nil
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

package storage

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// FoldedBranch stands in an event for the version of state before it when that is older than what is kept.
const FoldedBranch int64 = -2

// Kept says what of a room's states the events that are kept refer to.
type Kept struct {
	Seq      int64 // the oldest version of the main branch
	Depth    int64 // the least depth of a kept event of the stream
	branches map[int64]bool
}

// ListKept finds what is referred to by a room's events from a position on, by its heads, and by what was fetched of
// the time before our stream.
func (db *DB) ListKept(ctx context.Context, room, before int64, heads []int64) (*Kept, error) {
	k := &Kept{Seq: 1<<63 - 1, Depth: 1<<63 - 1, branches: map[int64]bool{}}
	for _, h := range heads {
		if err := db.keep(ctx, k, `nid = $1 AND room = $2`, h, room); err != nil {
			return nil, err
		}
	}
	for pos := before - 1; ; {
		last, err := db.keepFrom(ctx, k, room, pos)
		if err != nil {
			return nil, err
		}
		if last == 0 {
			break
		}
		pos = last
	}
	err := db.keep(ctx, k, `room = $1 AND pos = 0 AND branch >= 0 AND ((flags & $2) = 0 OR depth >= $3)`,
		room, int64(FlagRejected|FlagSoftFailed), k.Depth)
	if err == nil {
		err = db.keepBranches(ctx, k, room)
	}
	return k, err
}

const keptColumns = `SELECT nid, pos, branch, seq, depth, flags FROM events WHERE `

func (db *DB) keep(ctx context.Context, k *Kept, where string, args ...any) error {
	return db.each(ctx, keptColumns+where, args, func(r *sql.Rows) error { return k.scan(r, nil) })
}

// keepFrom takes in the next events behind a position and returns that of the last one; 0 when there was none.
func (db *DB) keepFrom(ctx context.Context, k *Kept, room, after int64) (last int64, err error) {
	err = db.each(ctx, keptColumns+`room = $1 AND pos > $2 AND pos > 0 ORDER BY pos LIMIT $3`, []any{room, after, int64(2000)},
		func(r *sql.Rows) error { return k.scan(r, &last) })
	return last, err
}

func (k *Kept) scan(r *sql.Rows, last *int64) error {
	var nid, pos, branch, seq, depth, flags int64
	if err := r.Scan(&nid, &pos, &branch, &seq, &depth, &flags); err != nil {
		return err
	}
	if last != nil {
		*last, k.Depth = pos, min(k.Depth, depth)
	}
	if flags&int64(FlagOwnBranch) != 0 {
		k.branches[nid] = true
	}
	if branch > 0 {
		k.branches[branch] = true
	} else if branch == 0 {
		k.Seq = min(k.Seq, seq)
	}
	return nil
}

// keepBranches adds the branches on which kept ones rest.
func (db *DB) keepBranches(ctx context.Context, k *Kept, room int64) error {
	all, err := db.ListBranches(ctx, room)
	if err != nil {
		return err
	}
	// Why from the newest: a branch rests on older ones, and is numbered after the event that opened it, but not always in order.
	for again := true; again; {
		again = false
		for _, b := range slices.Backward(all) {
			switch {
			case !k.branches[b.Branch]:
			case b.BaseBranch == 0:
				k.Seq = min(k.Seq, b.BaseSeq)
			case b.BaseBranch > 0 && !k.branches[b.BaseBranch]:
				k.branches[b.BaseBranch], again = true, true
			}
		}
	}
	return nil
}

// ListBranches lists the branches of a room.
func (db *DB) ListBranches(ctx context.Context, room int64) ([]BranchRow, error) {
	var out []BranchRow
	err := db.each(ctx, `SELECT branch, base_branch, base_seq, head_seq FROM branches WHERE room = $1 ORDER BY branch`, []any{room},
		func(r *sql.Rows) error {
			b := BranchRow{Room: room}
			err := r.Scan(&b.Branch, &b.BaseBranch, &b.BaseSeq, &b.HeadSeq)
			out = append(out, b)
			return err
		})
	return out, err
}

// FoldEvents makes the versions unknown before the events that are older than a position, save those to keep, in pieces.
// Events that entered no timeline go by their depth.
func (db *DB) FoldEvents(ctx context.Context, room, before, depth int64, keep []int64) error {
	for last := int64(0); ; {
		var nids []int64
		err := db.each(ctx, `SELECT nid, pos FROM events WHERE room = $1 AND pos > $2 AND pos < $3 ORDER BY pos LIMIT $4`,
			[]any{room, last, before, int64(prunePiece)}, func(r *sql.Rows) error {
				var nid int64
				err := r.Scan(&nid, &last)
				nids = append(nids, nid)
				return err
			})
		if err != nil {
			return err
		}
		if len(nids) == 0 {
			break
		}
		if err := db.foldEvents(ctx, slices.DeleteFunc(nids, func(n int64) bool { return slices.Contains(keep, n) })); err != nil {
			return err
		}
	}
	for {
		nids, err := db.numbers(ctx, `SELECT nid FROM events WHERE room = $1 AND pos = 0 AND depth < $2 AND branch >= 0
			AND (flags & $3) <> 0 ORDER BY depth, nid LIMIT $4`, room, depth, int64(FlagRejected|FlagSoftFailed), int64(prunePiece))
		if err != nil || len(nids) == 0 {
			return err
		}
		if err := db.foldEvents(ctx, nids); err != nil {
			return err
		}
	}
}

func (db *DB) foldEvents(ctx context.Context, nids []int64) error {
	c := &Change{}
	for _, n := range nids {
		c.Guard(Guard{sql: `UPDATE events SET branch = $2, seq = 0 WHERE nid = $1 AND branch >= 0`, args: []any{n, FoldedBranch}, want: anyRows},
			foldSearch(n))
	}
	return db.Commit(ctx, c)
}

// FoldState deletes the rows of state that none of the kept events needs, in pieces, and returns how many went: those of the
// main branch that were replaced before the oldest version kept, of which pairs is the whole state, and branches that nothing
// rests on. The newest row of each key stays with its position: an old sync token still hears of every key that changed.
func (db *DB) FoldState(ctx context.Context, room int64, k *Kept, pairs []int64) (int, error) {
	c := &Change{}
	c.Add(&CheckpointRow{Room: room, Seq: k.Seq, Pairs: pairs})
	c.Guard(Guard{sql: `INSERT INTO state_floors (room, seq) VALUES ($1, $2) ON CONFLICT (room) DO UPDATE SET seq = excluded.seq`,
		args: []any{room, k.Seq}, want: 1},
		Guard{sql: `DELETE FROM checkpoints WHERE room = $1 AND branch = 0 AND seq < $2`, args: []any{room, k.Seq}, want: anyRows})
	if err := db.Commit(ctx, c); err != nil {
		return 0, err
	}
	total, err := db.dropRows(ctx, room, 0, k.Seq)
	if err != nil {
		return total, err
	}
	all, err := db.ListBranches(ctx, room)
	if err != nil {
		return total, err
	}
	for _, b := range all {
		if k.branches[b.Branch] {
			continue
		}
		n, err := db.dropRows(ctx, room, b.Branch, 1<<62)
		if total += n; err != nil {
			return total, err
		}
		c := &Change{}
		c.Guard(Guard{sql: `DELETE FROM branches WHERE room = $1 AND branch = $2`, args: []any{room, b.Branch}, want: anyRows},
			Guard{sql: `DELETE FROM checkpoints WHERE room = $1 AND branch = $2`, args: []any{room, b.Branch}, want: anyRows})
		if err := db.Commit(ctx, c); err != nil {
			return total, err
		}
	}
	return total, nil
}

type stateCell struct{ key, seq int64 }

// dropRows deletes rows of a branch in pieces: on the main branch those that another one of the same key replaced by
// the version floor, on others all.
func (db *DB) dropRows(ctx context.Context, room, branch, floor int64) (total int, err error) {
	for last := (stateCell{-1, -1}); ; {
		var cells []stateCell
		err := db.each(ctx, `SELECT skey, seq FROM state_rows WHERE room = $1 AND branch = CAST($2 AS BIGINT) AND (skey, seq) > ($3, $4)
			ORDER BY skey, seq LIMIT $5`, []any{room, branch, last.key, last.seq, int64(prunePiece)}, func(r *sql.Rows) error {
			var s stateCell
			err := r.Scan(&s.key, &s.seq)
			cells = append(cells, s)
			return err
		})
		if err != nil || len(cells) == 0 {
			return total, err
		}
		c := &Change{}
		for i, s := range cells {
			if i+1 < len(cells) {
				if next := cells[i+1]; branch == 0 && (next.key != s.key || next.seq > floor) {
					continue
				}
			} else if branch == 0 {
				if len(cells) < prunePiece {
					continue
				}
				break // looked at again, with what follows it
			}
			c.Guard(Guard{sql: `DELETE FROM state_rows WHERE room = $1 AND branch = CAST($2 AS BIGINT) AND skey = $3 AND seq = $4`,
				args: []any{room, branch, s.key, s.seq}, want: anyRows})
		}
		last = cells[len(cells)-1]
		if branch == 0 && len(cells) == prunePiece {
			last.seq-- // it may be replaced by the next
		}
		if len(c.Guards) == 0 {
			continue
		}
		total += len(c.Guards)
		if err := db.Commit(ctx, c); err != nil {
			return total, err
		}
	}
}

// FindStateFloor is the oldest version of a room's current state that is kept; 0 when all are.
func (db *DB) FindStateFloor(ctx context.Context, room int64) (seq int64, err error) {
	err = db.row(ctx, `SELECT seq FROM state_floors WHERE room = $1`, []any{room}, &seq)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return seq, err
}

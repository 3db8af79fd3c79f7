package storage

import (
	"context"
	"database/sql"
	"errors"
)

// StateRow is one key of a version of state.
type StateRow struct {
	At
	Room, Branch, StateKey, Seq int64
	Event, Old                  int64 // 0: absent
}

var stateRowsTable = newTable("state_rows", "room:i branch:i skey:i seq:i event:i old:i pos:i", 4, "")

func (*StateRow) table() *table { return stateRowsTable }
func (r *StateRow) args(dst []any) []any {
	return append(dst, r.Room, r.Branch, r.StateKey, r.Seq, r.Event, r.Old, r.Pos)
}

// BranchRow adds a branch or moves its head.
type BranchRow struct {
	Room, Branch, BaseBranch, BaseSeq, HeadSeq int64
}

var branchesTable = newTable("branches", "room:i branch:i base_branch:i base_seq:i head_seq:i", 2, "update")

func (*BranchRow) table() *table { return branchesTable }
func (r *BranchRow) args(dst []any) []any {
	return append(dst, r.Room, r.Branch, r.BaseBranch, r.BaseSeq, r.HeadSeq)
}

// CheckpointRow is a folded copy of a whole state: pairs of state key and event number.
type CheckpointRow struct {
	Room, Branch, Seq int64
	Pairs             []int64 // key, event, key, event …, ascending by key
}

var checkpointsTable = newTable("checkpoints", "room:i branch:i seq:i body:b", 3, "ignore")

func (*CheckpointRow) table() *table { return checkpointsTable }

func (r *CheckpointRow) args(dst []any) []any {
	return append(dst, r.Room, r.Branch, r.Seq, encodeNIDs(r.Pairs))
}

// FindCheckpoint reads the newest checkpoint of a branch with seq at most upto; seq 0 and no pairs when there is none.
func (db *DB) FindCheckpoint(ctx context.Context, room, branch, upto int64) (seq int64, pairs []int64, err error) {
	var body []byte
	err = db.row(ctx, `SELECT seq, body FROM checkpoints WHERE room = $1 AND branch = $2 AND seq <= $3 ORDER BY seq DESC LIMIT 1`,
		[]any{room, branch, upto}, &seq, &body)
	if errors.Is(err, ErrNotFound) {
		return 0, nil, nil
	}
	return seq, decodeNIDs(body), err
}

// ListStateRows lists the rows of a branch with after < seq ≤ upto, in order of seq.
// Why the cast: SQLite would prepare the statement anew for every value, since state_rows_pos holds only branch 0.
func (db *DB) ListStateRows(ctx context.Context, room, branch, after, upto int64) ([]StateRow, error) {
	var out []StateRow
	err := db.each(ctx, `SELECT skey, seq, event, old FROM state_rows WHERE room = $1 AND branch = CAST($2 AS BIGINT) AND seq > $3
		AND seq <= $4 ORDER BY seq, skey`, []any{room, branch, after, upto}, func(r *sql.Rows) error {
		s := StateRow{Room: room, Branch: branch}
		err := r.Scan(&s.StateKey, &s.Seq, &s.Event, &s.Old)
		out = append(out, s)
		return err
	})
	return out, err
}

// FindStateRow reads the newest row of one key on a branch with seq at most upto; ErrNotFound when there is none.
func (db *DB) FindStateRow(ctx context.Context, room, branch, key, upto int64) (StateRow, error) {
	s := StateRow{Room: room, Branch: branch, StateKey: key}
	err := db.row(ctx, `SELECT seq, event, old FROM state_rows WHERE room = $1 AND branch = CAST($2 AS BIGINT) AND skey = $3 AND seq <= $4
		ORDER BY seq DESC LIMIT 1`, []any{room, branch, key, upto}, &s.Seq, &s.Event, &s.Old)
	return s, err
}

// StateSeqAt is the head that the room's main branch had at a stream position; 0 for none.
func (db *DB) StateSeqAt(ctx context.Context, room, pos int64) (int64, error) {
	seq, _, err := db.FindStateRun(ctx, room, pos, pos)
	return seq, err
}

// FindStateRun is the head that the room's main branch had at a stream position, 0 for none, and the last position in [pos, upto] up to
// which changes of that one version follow one another; 0 when it has none there.
func (db *DB) FindStateRun(ctx context.Context, room, pos, upto int64) (seq, last int64, err error) {
	err = db.each(ctx, `SELECT pos, seq FROM state_rows WHERE room = $1 AND branch = 0 AND pos <= $3 AND pos >= COALESCE((SELECT MAX(pos)
		FROM state_rows WHERE room = $1 AND branch = 0 AND pos <= $2), $2) ORDER BY pos`, []any{room, pos, upto}, func(r *sql.Rows) error {
		var at, of int64
		if err := r.Scan(&at, &of); err != nil {
			return err
		}
		if at <= pos {
			seq = of
		}
		if of != seq {
			return errRunEnds
		}
		if at >= pos {
			last = at
		}
		return nil
	})
	if errors.Is(err, errRunEnds) {
		err = nil
	}
	return seq, last, err
}

var errRunEnds = errors.New("the changes of another version begin")

// StateEnd is the last change of a room's current state up to a position: where it stands, and the head of the main branch since.
type StateEnd struct{ Pos, Seq int64 }

// ListStateEnds finds for each of some rooms the last change of its current state up to a position; rooms without any are left out.
func (db *DB) ListStateEnds(ctx context.Context, list []RoomFrom) (map[int64]StateEnd, error) {
	out := make(map[int64]StateEnd, len(list))
	err := db.eachFrom(ctx, list, `SELECT s.room, s.pos, s.seq FROM w JOIN state_rows s ON s.room = w.room AND s.branch = 0 AND s.pos = (
		SELECT MAX(m.pos) FROM state_rows m WHERE m.room = w.room AND m.branch = 0 AND m.pos <= w.place)`, nil, func(r *sql.Rows) error {
		var room int64
		var e StateEnd
		err := r.Scan(&room, &e.Pos, &e.Seq)
		out[room] = e
		return err
	})
	return out, err
}

// HeldKey says which event holds a key of a room's state; Type is the type of the key.
type HeldKey struct {
	Key, Event int64
	Type       string
}

// ListStates lists for each of some rooms which events hold the keys of its main branch at a version, by key; 0 where a key was removed. It
// reads every change up to there: rooms of which the state was folded into a checkpoint are left out.
func (db *DB) ListStates(ctx context.Context, list []RoomFrom) (map[int64][]HeldKey, error) {
	out := make(map[int64][]HeldKey, len(list))
	err := db.eachFrom(ctx, list, `SELECT s.room, s.skey, s.event, k.type FROM w JOIN state_rows s ON s.room = w.room AND s.branch = 0
		AND s.seq <= w.place JOIN state_keys k ON k.nid = s.skey
		WHERE NOT EXISTS (SELECT 1 FROM checkpoints c WHERE c.room = w.room AND c.branch = 0) ORDER BY s.room, s.skey, s.seq`, nil,
		func(r *sql.Rows) error {
			var room int64
			var h HeldKey
			err := r.Scan(&room, &h.Key, &h.Event, &h.Type)
			held := out[room]
			if n := len(held); n > 0 && held[n-1].Key == h.Key {
				held[n-1] = h // a later change
			} else {
				out[room] = append(held, h)
			}
			return err
		})
	return out, err
}

// KeyPlace is a state key's number and a version of the main branch.
type KeyPlace struct{ Key, Seq int64 }

// ListValuesAt finds the events that held keys of a room's main branch at versions; where none did, the key is left out.
func (db *DB) ListValuesAt(ctx context.Context, room int64, list []KeyPlace) (map[KeyPlace]int64, error) {
	out := make(map[KeyPlace]int64)
	pairs := make([]RoomFrom, len(list)) // Why: the statement's list has two numbers, whatever they mean
	for i, k := range list {
		pairs[i] = RoomFrom{k.Key, k.Seq}
	}
	err := db.eachFrom(ctx, pairs, `SELECT w.room, w.place, COALESCE((SELECT x.event FROM state_rows x WHERE x.room = $1 AND x.branch = 0
		AND x.skey = w.room AND x.seq <= w.place ORDER BY x.seq DESC LIMIT 1), 0) FROM w`,
		[]any{room}, func(r *sql.Rows) error {
			var k KeyPlace
			var event int64
			err := r.Scan(&k.Key, &k.Seq, &event)
			if event != 0 {
				out[k] = event
			}
			return err
		})
	return out, err
}

// ListKeyRows lists the values that a key has had on a room's main branch, the oldest first; Event 0 where it was taken away.
func (db *DB) ListKeyRows(ctx context.Context, room, key int64) ([]StateRow, error) {
	var out []StateRow
	err := db.each(ctx, `SELECT seq, event FROM state_rows WHERE room = $1 AND branch = 0 AND skey = $2 ORDER BY seq`, []any{room, key},
		func(r *sql.Rows) error {
			s := StateRow{Room: room, StateKey: key}
			err := r.Scan(&s.Seq, &s.Event)
			out = append(out, s)
			return err
		})
	return out, err
}

// FindBranch reads a branch; ErrNotFound when there is none.
func (db *DB) FindBranch(ctx context.Context, room, branch int64) (BranchRow, error) {
	b := BranchRow{Room: room, Branch: branch}
	err := db.row(ctx, `SELECT base_branch, base_seq, head_seq FROM branches WHERE room = $1 AND branch = $2`,
		[]any{room, branch}, &b.BaseBranch, &b.BaseSeq, &b.HeadSeq)
	return b, err
}

// ListKeyHistory lists the events that held a key of a room's current state, oldest first.
func (db *DB) ListKeyHistory(ctx context.Context, room, key int64) ([]int64, error) {
	return db.numbers(ctx, `SELECT event FROM state_rows WHERE room = $1 AND branch = 0 AND skey = $2 AND event <> 0 ORDER BY seq`,
		room, key)
}

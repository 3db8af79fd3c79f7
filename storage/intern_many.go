package storage

import (
	"context"
	"database/sql"
	"errors"

	"rempart/internal/matrix"
)

// internStep bounds how many names one Change adds.
const internStep = 1024

type userIDRow struct {
	nid int64
	id  matrix.UserID
}

var userIDsTable = newTable("user_ids", "nid:i user_id:t", 1, "ignore")

func (*userIDRow) table() *table          { return userIDsTable }
func (r *userIDRow) args(dst []any) []any { return append(dst, r.nid, string(r.id)) }

type stateKeyRow struct {
	nid int64
	t   matrix.StateTuple
}

var stateKeysTable = newTable("state_keys", "nid:i type:t skey:t", 1, "ignore")

func (*stateKeyRow) table() *table          { return stateKeysTable }
func (r *stateKeyRow) args(dst []any) []any { return append(dst, r.nid, r.t.Type, r.t.Key) }

// InternUsers gives numbers to those of many user ids that have none, in few commits. [DB.FindUserNID] then knows
// them all.
func (db *DB) InternUsers(ctx context.Context, ids []matrix.UserID) error {
	return internMany(ctx, db, UserNIDs, ids, db.FindUserNID, db.LoadUserIDs,
		func(nid int64, id matrix.UserID) Row { return &userIDRow{nid, id} })
}

// InternStateKeys gives numbers to those of many (type, state key) pairs that have none, in few commits.
// [DB.FindStateKeyNID] then knows them all.
func (db *DB) InternStateKeys(ctx context.Context, tuples []matrix.StateTuple) error {
	return internMany(ctx, db, StateKeyNIDs, tuples, db.FindStateKeyNID, db.LoadStateTuples,
		func(nid int64, t matrix.StateTuple) Row { return &stateKeyRow{nid, t} })
}

func internMany[T any](ctx context.Context, db *DB, counter Counter, names []T,
	find func(context.Context, T) (int64, error), load func(context.Context, []int64) error, row func(int64, T) Row) error {
	var missing []T
	for _, name := range names {
		_, err := find(ctx, name)
		if errors.Is(err, ErrNotFound) {
			missing = append(missing, name)
		} else if err != nil {
			return err
		}
	}
	for len(missing) > 0 {
		n := min(len(missing), internStep)
		first, err := db.NewIDs(ctx, counter, int64(n))
		if err != nil {
			return err
		}
		c, nids := &Change{}, make([]int64, n)
		for i, name := range missing[:n] {
			nids[i] = first + int64(i)
			c.Add(row(nids[i], name))
		}
		if err := db.commitDirect(c); err != nil {
			return err
		}
		if err := load(ctx, nids); err != nil { // which another may have given other numbers meanwhile
			return err
		}
		missing = missing[n:]
	}
	return nil
}

// LoadUserIDs reads many ids at once, so that [DB.GetUserID] finds them in memory.
func (db *DB) LoadUserIDs(ctx context.Context, nids []int64) error {
	return db.eachIn(ctx, `SELECT nid, user_id FROM user_ids WHERE nid IN`, db.names.users.unknown(nids), ``,
		func(r *sql.Rows) error {
			var nid int64
			var id matrix.UserID
			err := r.Scan(&nid, &id)
			db.names.users.put(nid, id)
			return err
		})
}

// LoadStateTuples reads many pairs at once, so that [DB.GetStateTuple] finds them in memory.
func (db *DB) LoadStateTuples(ctx context.Context, nids []int64) error {
	return db.eachIn(ctx, `SELECT nid, type, skey FROM state_keys WHERE nid IN`, db.names.keys.unknown(nids), ``,
		func(r *sql.Rows) error {
			var nid int64
			var t matrix.StateTuple
			err := r.Scan(&nid, &t.Type, &t.Key)
			db.names.keys.put(nid, t)
			return err
		})
}

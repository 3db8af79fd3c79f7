package storage

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"rempart/internal/matrix"
)

// Interning may happen while a room is held: new names go to the committer without a slot.

// internCache remembers names of user ids and of state keys.
type internCache struct {
	users internMap[matrix.UserID]
	keys  internMap[matrix.StateTuple]
}

// internMap remembers numbers and what they stand for, in both directions. It is dropped as a whole when it is full:
// that costs some look-ups and needs no bookkeeping on the hot path.
type internMap[T comparable] struct {
	mu   sync.RWMutex
	nids map[T]int64
	back map[int64]T
}

const internLimit = 200_000

func newInternCache() *internCache {
	c := &internCache{}
	c.users.drop()
	c.keys.drop()
	return c
}

func (m *internMap[T]) drop() { m.nids, m.back = map[T]int64{}, map[int64]T{} }

func (m *internMap[T]) nid(what T) (int64, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, ok := m.nids[what]
	return n, ok
}

func (m *internMap[T]) of(nid int64) (T, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	what, ok := m.back[nid]
	return what, ok
}

func (m *internMap[T]) put(nid int64, what T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.nids) >= internLimit {
		m.drop()
	}
	m.nids[what], m.back[nid] = nid, what
}

// unknown are those of the numbers that it does not remember.
func (m *internMap[T]) unknown(nids []int64) []int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []int64
	for _, nid := range nids {
		if _, ok := m.back[nid]; !ok {
			out = append(out, nid)
		}
	}
	return out
}

// UserNID interns a user id, local or remote.
func (db *DB) UserNID(ctx context.Context, id matrix.UserID) (int64, error) {
	nid, err := db.FindUserNID(ctx, id)
	if !errors.Is(err, ErrNotFound) {
		return nid, err
	}
	fresh, err := db.NewID(ctx, UserNIDs)
	if err != nil {
		return 0, err
	}
	c := &Change{}
	c.Guard(Guard{
		sql: `INSERT INTO user_ids (nid, user_id) VALUES ($1, $2)
			ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id RETURNING nid`,
		args: []any{fresh, string(id)}, want: 1, scan: scanInto(&nid),
	})
	if err := db.commitDirect(c); err != nil {
		return 0, err
	}
	db.names.users.put(nid, id)
	return nid, nil
}

// FindUserNID is the number of a user id that is already known; ErrNotFound otherwise.
func (db *DB) FindUserNID(ctx context.Context, id matrix.UserID) (int64, error) {
	if nid, ok := db.names.users.nid(id); ok {
		return nid, nil
	}
	var nid int64
	if err := db.row(ctx, `SELECT nid FROM user_ids WHERE user_id = $1`, []any{string(id)}, &nid); err != nil {
		return 0, err
	}
	db.names.users.put(nid, id)
	return nid, nil
}

// GetUserID is the id behind a number.
func (db *DB) GetUserID(ctx context.Context, nid int64) (matrix.UserID, error) {
	if id, ok := db.names.users.of(nid); ok {
		return id, nil
	}
	var id matrix.UserID
	if err := db.row(ctx, `SELECT user_id FROM user_ids WHERE nid = $1`, []any{nid}, &id); err != nil {
		return "", err
	}
	db.names.users.put(nid, id)
	return id, nil
}

// StateKeyNID interns a (type, state key) pair.
func (db *DB) StateKeyNID(ctx context.Context, t matrix.StateTuple) (int64, error) {
	nid, err := db.FindStateKeyNID(ctx, t)
	if !errors.Is(err, ErrNotFound) {
		return nid, err
	}
	fresh, err := db.NewID(ctx, StateKeyNIDs)
	if err != nil {
		return 0, err
	}
	c := &Change{}
	c.Guard(Guard{
		sql: `INSERT INTO state_keys (nid, type, skey) VALUES ($1, $2, $3)
			ON CONFLICT (type, skey) DO UPDATE SET type = excluded.type RETURNING nid`,
		args: []any{fresh, t.Type, t.Key}, want: 1, scan: scanInto(&nid),
	})
	if err := db.commitDirect(c); err != nil {
		return 0, err
	}
	db.names.keys.put(nid, t)
	return nid, nil
}

// FindStateKeyNID is the number of a pair that is already known; ErrNotFound otherwise.
func (db *DB) FindStateKeyNID(ctx context.Context, t matrix.StateTuple) (int64, error) {
	if nid, ok := db.names.keys.nid(t); ok {
		return nid, nil
	}
	var nid int64
	err := db.row(ctx, `SELECT nid FROM state_keys WHERE type = $1 AND skey = $2`, []any{t.Type, t.Key}, &nid)
	if err != nil {
		return 0, err
	}
	db.names.keys.put(nid, t)
	return nid, nil
}

// GetStateTuple is the pair behind a number.
func (db *DB) GetStateTuple(ctx context.Context, nid int64) (matrix.StateTuple, error) {
	if t, ok := db.names.keys.of(nid); ok {
		return t, nil
	}
	var t matrix.StateTuple
	if err := db.row(ctx, `SELECT type, skey FROM state_keys WHERE nid = $1`, []any{nid}, &t.Type, &t.Key); err != nil {
		return t, err
	}
	db.names.keys.put(nid, t)
	return t, nil
}

// scanInto is a Guard.scan that keeps one number.
func scanInto(dst *int64) func(*sql.Rows) error {
	return func(r *sql.Rows) error { return r.Scan(dst) }
}

package storage

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"rempart/internal/matrix"
)

// Interning may happen while a room is held: new names go to the committer without a slot.

// internCache remembers interned names in both directions. Each map is dropped as a whole when it is full: that
// costs some look-ups and needs no bookkeeping on the hot path.
type internCache struct {
	mu     sync.RWMutex
	users  map[matrix.UserID]int64
	userOf map[int64]matrix.UserID
	keys   map[matrix.StateTuple]int64
	keyOf  map[int64]matrix.StateTuple
}

const internLimit = 200_000

func newInternCache() *internCache {
	return &internCache{users: map[matrix.UserID]int64{}, userOf: map[int64]matrix.UserID{},
		keys: map[matrix.StateTuple]int64{}, keyOf: map[int64]matrix.StateTuple{}}
}

func (c *internCache) user(id matrix.UserID) (int64, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, ok := c.users[id]
	return n, ok
}

func (c *internCache) putUser(nid int64, id matrix.UserID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.users) >= internLimit {
		clear(c.users)
		clear(c.userOf)
	}
	c.users[id], c.userOf[nid] = nid, id
}

func (c *internCache) key(t matrix.StateTuple) (int64, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, ok := c.keys[t]
	return n, ok
}

func (c *internCache) putKey(nid int64, t matrix.StateTuple) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= internLimit {
		clear(c.keys)
		clear(c.keyOf)
	}
	c.keys[t], c.keyOf[nid] = nid, t
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
	db.names.putUser(nid, id)
	return nid, nil
}

// FindUserNID is the number of a user id that is already known; ErrNotFound otherwise.
func (db *DB) FindUserNID(ctx context.Context, id matrix.UserID) (int64, error) {
	if nid, ok := db.names.user(id); ok {
		return nid, nil
	}
	var nid int64
	if err := db.row(ctx, `SELECT nid FROM user_ids WHERE user_id = $1`, []any{string(id)}, &nid); err != nil {
		return 0, err
	}
	db.names.putUser(nid, id)
	return nid, nil
}

// GetUserID is the id behind a number.
func (db *DB) GetUserID(ctx context.Context, nid int64) (matrix.UserID, error) {
	db.names.mu.RLock()
	id, ok := db.names.userOf[nid]
	db.names.mu.RUnlock()
	if ok {
		return id, nil
	}
	if err := db.row(ctx, `SELECT user_id FROM user_ids WHERE nid = $1`, []any{nid}, &id); err != nil {
		return "", err
	}
	db.names.putUser(nid, id)
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
	db.names.putKey(nid, t)
	return nid, nil
}

// FindStateKeyNID is the number of a pair that is already known; ErrNotFound otherwise.
func (db *DB) FindStateKeyNID(ctx context.Context, t matrix.StateTuple) (int64, error) {
	if nid, ok := db.names.key(t); ok {
		return nid, nil
	}
	var nid int64
	err := db.row(ctx, `SELECT nid FROM state_keys WHERE type = $1 AND skey = $2`, []any{t.Type, t.Key}, &nid)
	if err != nil {
		return 0, err
	}
	db.names.putKey(nid, t)
	return nid, nil
}

// GetStateTuple is the pair behind a number.
func (db *DB) GetStateTuple(ctx context.Context, nid int64) (matrix.StateTuple, error) {
	db.names.mu.RLock()
	t, ok := db.names.keyOf[nid]
	db.names.mu.RUnlock()
	if ok {
		return t, nil
	}
	if err := db.row(ctx, `SELECT type, skey FROM state_keys WHERE nid = $1`, []any{nid}, &t.Type, &t.Key); err != nil {
		return t, err
	}
	db.names.putKey(nid, t)
	return t, nil
}

// scanInto is a Guard.scan that keeps one number.
func scanInto(dst *int64) func(*sql.Rows) error {
	return func(r *sql.Rows) error { return r.Scan(dst) }
}

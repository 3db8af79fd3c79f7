package users

import (
	"sync"

	"rempart/internal/matrix"
	"rempart/storage"
)

// cacheLimit bounds the sessions kept in memory, about 400 bytes each.
const cacheLimit = 100_000

// cached is a session that has been used lately.
type cached struct {
	hash    tokenHash
	caller  matrix.Caller
	flags   storage.UserFlag
	expires int64 // milliseconds; 0 never
}

// sessionCache remembers whose a token is. A commit that changes a user's sessions drops them all, before whoever made
// that commit is answered; what was read from the database before such a drop is not kept after it.
type sessionCache struct {
	mu     sync.RWMutex
	byHash map[tokenHash]*cached
	byUser map[int64][]*cached
	drops  uint64
}

func newSessionCache() *sessionCache {
	return &sessionCache{byHash: map[tokenHash]*cached{}, byUser: map[int64][]*cached{}}
}

// find is the cached session of a token; before is to be handed to put.
func (c *sessionCache) find(hash tokenHash) (found *cached, before uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byHash[hash], c.drops
}

// put keeps a session that was read after find said before, unless something was dropped in between.
func (c *sessionCache) put(s *cached, before uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drops != before || c.byHash[s.hash] != nil {
		return
	}
	if len(c.byHash) >= cacheLimit {
		c.evictLocked()
	}
	c.byHash[s.hash] = s
	c.byUser[s.caller.UserNID] = append(c.byUser[s.caller.UserNID], s)
}

// evictLocked forgets some users; Go's map order is random.
func (c *sessionCache) evictLocked() {
	for user := range c.byUser {
		if len(c.byHash) < cacheLimit*3/4 {
			return
		}
		c.dropLocked(user)
	}
}

// drop forgets the sessions of a user.
func (c *sessionCache) drop(user int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drops++
	c.dropLocked(user)
}

func (c *sessionCache) dropLocked(user int64) {
	for _, s := range c.byUser[user] {
		delete(c.byHash, s.hash)
	}
	delete(c.byUser, user)
}

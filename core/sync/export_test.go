package sync

import (
	"context"
	"testing"

	"rempart/internal/matrix"
)

// BuildAfter begins as a sync does and lets something happen at the narrowest point: after the user's rooms were found to
// be known and before the position is noted. It reports whether a build would go on with what was known.
func (s *Service) BuildAfter(ctx context.Context, c *matrix.Caller, happen func()) (goesOn bool, err error) {
	u, err := s.follow(ctx, c, false)
	if err != nil {
		return false, err
	}
	happen()
	return s.newBuild(ctx, c, u, &Request{Filter: &Filter{}}, nil) != nil, nil
}

// ForgetConnections loses what is in memory of sliding sync's connections, as a crash does.
func (s *Service) ForgetConnections() {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	clear(s.conns.open)
}

// ForgetUser loses what is in memory of a user, as if he had been away.
func (s *Service) ForgetUser(user int64) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.users[user]; u != nil && len(u.waiters) == 0 && u.loading.TryLock() {
		defer u.loading.Unlock()
		for _, j := range u.rooms {
			h.leaveRoom(u, j.room)
		}
		u.rooms, u.loaded = nil, false
		delete(h.users, user)
	}
}

// ConnectionSize is how many rooms a user's connections were sent, and the bytes they take when stored.
func (s *Service) ConnectionSize(user int64) (rooms, bytes int) {
	for _, c := range s.conns.list() {
		if c.User == user {
			c.mu.Lock()
			rooms, bytes = rooms+len(c.sent), bytes+len(c.encode())
			c.mu.Unlock()
		}
	}
	return rooms, bytes
}

// StoredConnections are the texts that a user's connections are stored as.
func (s *Service) StoredConnections(user int64) (out [][]byte) {
	for _, c := range s.conns.list() {
		if c.User == user {
			c.mu.Lock()
			out = append(out, c.encode())
			c.mu.Unlock()
		}
	}
	return out
}

// ReadConnection reads a stored connection and what is in it.
func (s *Service) ReadConnection(body []byte) {
	c := &connection{}
	if c.decode(body) == nil {
		c.dropConfigs()
		_ = c.encode()
	}
}

// StickyKnown waits for nothing: it reads which rooms have sticky events, as the ticker does when it starts.
func (s *Service) StickyKnown(t testing.TB) {
	if err := s.readSticky(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Sweep does what the ticker does every 15 seconds.
func (s *Service) Sweep() { s.due(context.Background(), true) }

// SpreadLists does what the ticker does when devices changed of somebody whose rooms are not in memory.
func (s *Service) SpreadLists() { s.spreadLists() }

// Waiting is how many syncs wait for something to tell.
func (s *Service) Waiting() (n int) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, u := range s.hub.users {
		n += len(u.waiters)
	}
	return n
}

package media

import (
	"sync"
	"time"

	"rempart/internal/matrix"
)

// slots bounds uploads that are under way, for each user and for all together.
type slots struct {
	mu    sync.Mutex
	users map[matrix.UserID]int
	total int
}

func newSlots() *slots { return &slots{users: map[matrix.UserID]int{}} }

// take answers M_LIMIT_EXCEEDED or a function that gives the slot back.
func (s *slots) take(user matrix.UserID) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= uploadsAtOnce || s.users[user] >= uploadsOfUser {
		return nil, matrix.LimitExceeded(2 * time.Second).French("Trop d'envois à la fois ; attendez un instant.")
	}
	s.total++
	s.users[user]++
	return func() { s.release(user) }, nil
}

func (s *slots) release(user matrix.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.users[user]--; s.users[user] == 0 {
		delete(s.users, user)
	}
}

package push

// Knows reports whether it is in memory who is in a room.
func (s *Service) Knows(room int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crowds[room] != nil
}

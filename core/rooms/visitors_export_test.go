package rooms

import "rempart/internal/matrix"

// Remembered reports whether it is remembered who of a server had to do with a room, and how many people are remembered in all.
func (s *Service) Remembered(room *Room, server matrix.ServerName) (bool, int) {
	_, found, _ := s.serverLists.findVisitors(room.nid, server)
	s.serverLists.mu.Lock()
	defer s.serverLists.mu.Unlock()
	return found, s.serverLists.held
}

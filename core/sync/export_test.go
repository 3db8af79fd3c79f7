package sync

import (
	"context"

	"rempart/internal/matrix"
)

// BuildAfter begins as a sync does and lets something happen at the narrowest point: after the user's rooms were found to
// be known and before the position is noted. It reports whether a build would go on with what was known.
func (s *Service) BuildAfter(ctx context.Context, c *matrix.Caller, happen func()) (goesOn bool, err error) {
	u, err := s.follow(ctx, c)
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

package sender

import (
	"context"

	"rempart/internal/matrix"
)

// Bounds of what is done about servers that return.
const (
	maxReturned    = 256 // that wait
	returnedAtOnce = 4
)

// returned notes that a server is there again. Of very many at once some are passed over: they will speak for themselves.
func (p *dispatch) returned(server matrix.ServerName) {
	if p.Returned == nil {
		return
	}
	select {
	case p.back <- server:
	default:
	}
}

// greet asks servers that have returned for what happened meanwhile, until the context ends.
func (s *Sender) greet(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case server := <-s.back:
			s.Returned(ctx, server)
		}
	}
}

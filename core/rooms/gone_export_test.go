package rooms

import (
	"context"
	"time"

	"rempart/internal/matrix"
)

// SayGoneAfter sets how long the inbox waits before it tells a server that ours have gone.
func (i *Inbox) SayGoneAfter(pause time.Duration) { i.gonePause = pause }

// LeaveOnceMore tells a server that ours have gone, if they have.
func (s *Service) LeaveOnceMore(ctx context.Context, room *Room, through matrix.ServerName) error {
	return s.leaveOnceMore(ctx, room.nid, through)
}

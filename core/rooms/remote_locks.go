package rooms

import (
	"context"
	"sync"

	"rempart/internal/matrix"
)

// keyLocks are mutexes by room, for work that waits for other servers. The zero value is ready.
type keyLocks struct {
	mu   sync.Mutex
	held map[matrix.RoomID]chan struct{}
}

// lock waits for its turn with a room; unlock must be called when err is nil.
func (l *keyLocks) lock(ctx context.Context, id matrix.RoomID) (unlock func(), err error) {
	for {
		l.mu.Lock()
		other := l.held[id]
		if other == nil {
			break
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if l.held == nil {
		l.held = map[matrix.RoomID]chan struct{}{}
	}
	done := make(chan struct{})
	l.held[id] = done
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		delete(l.held, id)
		l.mu.Unlock()
		close(done)
	}, nil
}

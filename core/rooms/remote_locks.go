package rooms

import (
	"context"
	"sync"
)

// keyLocks are mutexes by room or server, for work that waits for other servers. The zero value is ready.
type keyLocks[K comparable] struct {
	mu   sync.Mutex
	held map[K]chan struct{}
}

// busy reports whether somebody has the lock.
func (l *keyLocks[K]) busy(id K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[id] != nil
}

// free waits until nobody has the lock.
func (l *keyLocks[K]) free(ctx context.Context, id K) error {
	for {
		l.mu.Lock()
		other := l.held[id]
		l.mu.Unlock()
		if other == nil {
			return nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lock waits for its turn; unlock must be called when err is nil.
func (l *keyLocks[K]) lock(ctx context.Context, id K) (unlock func(), err error) {
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
		l.held = map[K]chan struct{}{}
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

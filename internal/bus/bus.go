// Package bus hands what was committed to those who must hear of it, within this process.
//
// A bus has no queue and no goroutine: Publish calls every subscriber in turn, on the publisher's goroutine, so that
// all subscribers see all values in the same order. A subscriber therefore only notes what it heard and returns; it
// never waits for the database, since the publisher is the one that writes to it.
package bus

import "sync"

// Bus fans values of one type out to subscribers. Its methods may be called concurrently; values that are published
// concurrently reach different subscribers in no common order, so the committer publishes one at a time.
type Bus[T any] struct {
	mu   sync.RWMutex
	subs []func(T)
}

// New makes a bus without subscribers.
func New[T any]() *Bus[T] { return &Bus[T]{} }

// Subscribe adds a subscriber for as long as the bus lives. It hears what is published after Subscribe returned.
func (b *Bus[T]) Subscribe(fn func(T)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Why a new slice: Publish goes through the one it found, without holding the lock.
	b.subs = append(b.subs[:len(b.subs):len(b.subs)], fn)
}

// Publish hands v to every subscriber, in the order in which they subscribed, and returns when all have had it.
func (b *Bus[T]) Publish(v T) {
	b.mu.RLock()
	subs := b.subs
	b.mu.RUnlock()
	for _, fn := range subs {
		fn(v)
	}
}

package media

import "sync"

// waiters are requests for media that is not there yet.
type waiters struct {
	mu sync.Mutex
	at map[Address]*waiter
}

type waiter struct {
	changed chan struct{}
	count   int
}

func newWaiters() *waiters { return &waiters{at: map[Address]*waiter{}} }

// enter answers a channel that is closed when the address changes. leave must be called.
func (w *waiters) enter(a Address) (changed <-chan struct{}, leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.at[a]
	if x == nil {
		x = &waiter{changed: make(chan struct{})}
		w.at[a] = x
	}
	x.count++
	return x.changed, func() { w.leave(a, x) }
}

func (w *waiters) leave(a Address, x *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.count--; x.count == 0 && w.at[a] == x {
		delete(w.at, a)
	}
}

// wake tells all who wait for an address.
func (w *waiters) wake(a Address) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.at[a]; x != nil {
		close(x.changed)
		delete(w.at, a)
	}
}

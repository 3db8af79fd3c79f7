package storage

import (
	"context"
	"sync"
)

// maxBatch bounds how many Changes share a transaction: beyond it more gains nothing and a failure costs more.
const maxBatch = 256

// queue is where Changes wait for the committer.
//
// A Change takes one of three ways. The usual one is a [Slot], reserved before a room is locked. Blocks of numbers and
// interned names are asked for by those who hold a room already; they go by direct, which takes no slot: else all
// slots could be held by those who wait for that very room. Bulk rows go by bulk, one piece at a time.
type queue struct {
	changes chan *Change
	slots   chan struct{} // one token for each free place in changes
	direct  chan *Change
	bulk    chan *Change

	gate   sync.RWMutex // held shared while sending, so that nothing is sent once closed
	closed chan struct{}
	once   sync.Once
}

func newQueue(places int) *queue {
	q := &queue{changes: make(chan *Change, places), slots: make(chan struct{}, places),
		direct: make(chan *Change, 64), bulk: make(chan *Change), closed: make(chan struct{})}
	for range places {
		q.slots <- struct{}{}
	}
	return q
}

// close lets nothing more in; what is in is still written.
func (q *queue) close() {
	q.once.Do(func() {
		q.gate.Lock()
		defer q.gate.Unlock()
		close(q.closed)
	})
}

func (q *queue) isClosed() bool {
	select {
	case <-q.closed:
		return true
	default:
		return false
	}
}

// send puts a Change into one of the channels; one that comes after the close is answered at once.
func (q *queue) send(to chan<- *Change, c *Change) {
	c.done = make(chan error, 1)
	q.gate.RLock()
	defer q.gate.RUnlock()
	if q.isClosed() {
		c.done <- ErrClosed
		return
	}
	to <- c
}

// take gathers what waits behind first, without waiting, and frees its places.
func (q *queue) take(batch []*Change) []*Change {
	for len(batch) < maxBatch {
		select {
		case next := <-q.changes:
			batch = append(batch, next)
			q.slots <- struct{}{}
		case next := <-q.direct:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// Slot is a reserved place in the committer's queue. Take it before a room lock, so that no one waits for the
// database while he holds a room. Use it up by Submit or give it back by Release, once.
type Slot struct{ q *queue }

// Reserve waits for a place in the queue.
func (db *DB) Reserve(ctx context.Context) (Slot, error) {
	q := db.committer.queue
	if q.isClosed() {
		return Slot{}, ErrClosed
	}
	select {
	case <-q.slots:
		return Slot{q}, nil
	default:
	}
	select {
	case <-q.slots:
		return Slot{q}, nil
	case <-ctx.Done():
		return Slot{}, ctx.Err()
	case <-q.closed:
		return Slot{}, ErrClosed
	}
}

// Submit queues the Change without blocking.
func (s Slot) Submit(c *Change) { s.q.send(s.q.changes, c) }

// Release gives an unused slot back.
func (s Slot) Release() { s.q.slots <- struct{}{} }

// Commit queues a Change and waits for its outcome.
func (db *DB) Commit(ctx context.Context, c *Change) error {
	slot, err := db.Reserve(ctx)
	if err != nil {
		return err
	}
	slot.Submit(c)
	return c.Wait()
}

// commitDirect is Commit for those who may hold a room: see [queue].
func (db *DB) commitDirect(c *Change) error {
	db.committer.queue.send(db.committer.queue.direct, c)
	return c.Wait()
}

package admin

import (
	"context"
	"sync"
	"sync/atomic"
)

// derivedBudget is how many bytes of what was made of rooms are kept in memory, over all lists. What is beyond is read each time.
const derivedBudget = 24 << 20

// derived keeps something that was made of each room, with the version of the room that it was made of: a list of all rooms
// then costs what has changed since the last one.
type derived[V any] struct {
	used  *atomic.Int64 // bytes kept by all of them
	bytes func(V) int64
	turn  chan struct{} // full while somebody reads: of many who ask at once, one does
	mu    sync.Mutex
	known map[int64]made[V]
}

// made is something that was made of a room, as of a version of it or later.
type made[V any] struct {
	version int64
	value   V
}

// at is a room and the version of it that is asked for.
type at struct{ room, version int64 }

func newDerived[V any](used *atomic.Int64, bytes func(V) int64) *derived[V] {
	return &derived[V]{used: used, bytes: bytes, turn: make(chan struct{}, 1), known: map[int64]made[V]{}}
}

// of gives what is made of all rooms; read makes it of those that have changed, and may leave out some.
func (d *derived[V]) of(ctx context.Context, all []at, read func(context.Context, []int64) (map[int64]V, error)) (map[int64]V, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out := make(map[int64]V, len(all))
	missing := d.fill(out, all)
	if len(missing) == 0 {
		return out, nil
	}
	nids := make([]int64, len(missing))
	for i, m := range missing {
		nids[i] = m.room
	}
	fresh, err := read(ctx, nids)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range missing {
		out[m.room] = fresh[m.room]
		d.keep(m, fresh[m.room])
	}
	return out, nil
}

// fill puts what is known into out and tells what is not. Rooms that are no longer there are forgotten.
func (d *derived[V]) fill(out map[int64]V, all []at) (missing []at) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := 0
	for _, a := range all {
		k, ok := d.known[a.room]
		if ok {
			found++
		}
		if ok && k.version == a.version {
			out[a.room] = k.value
		} else {
			missing = append(missing, a)
		}
	}
	if found < len(d.known) {
		there := make(map[int64]bool, len(all))
		for _, a := range all {
			there[a.room] = true
		}
		for room := range d.known {
			if !there[room] {
				d.forget(room)
			}
		}
	}
	return missing
}

func (d *derived[V]) keep(a at, value V) {
	d.forget(a.room)
	n := derivedEntry + d.bytes(value)
	if d.used.Add(n) > derivedBudget {
		d.used.Add(-n)
		return
	}
	d.known[a.room] = made[V]{a.version, value}
}

// derivedEntry is about what an entry takes beside its value.
const derivedEntry = 64

func (d *derived[V]) forget(room int64) {
	if k, ok := d.known[room]; ok {
		delete(d.known, room)
		d.used.Add(-derivedEntry - d.bytes(k.value))
	}
}

// Package guests makes this installation's guests leave rooms that no longer allow them, however the room came to that: by
// an event of one of ours, of another server, or by a resolution of states. cmd starts it; it writes through core/rooms.
//
// Spec: client-server-api/#guest-access
package guests

import (
	"context"
	"log/slog"
	"sync"

	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Options is what a watch is made of.
type Options struct {
	Bus   *bus.Bus[storage.Batch]
	Rooms *rooms.Service
	Log   *slog.Logger
}

// Watch hears of changes and has guests expelled, one room after the other.
type Watch struct {
	rooms *rooms.Service
	log   *slog.Logger
	wake  chan struct{}
	stop  context.CancelFunc
	wait  sync.WaitGroup

	mu  sync.Mutex
	due map[int64]bool // rooms to look at, by number
}

// maxDue bounds the rooms that wait to be looked at.
const maxDue = 10_000

// New starts a watch, which ends with Close.
func New(ctx context.Context, o Options) *Watch {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &Watch{rooms: o.Rooms, log: o.Log, wake: make(chan struct{}, 1), stop: stop, due: map[int64]bool{}}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	o.Bus.Subscribe(w.hear)
	w.wait.Go(func() { w.run(ctx) })
	return w
}

// Close ends the watch.
func (w *Watch) Close() {
	w.stop()
	w.wait.Wait()
}

// hear notes rooms whose rule for guests may have changed.
func (w *Watch) hear(b storage.Batch) {
	for i := range b.Lives {
		l := &b.Lives[i]
		e, _ := l.Value.(*rooms.Stored)
		if l.Kind == storage.KindState || e != nil && e.Type == "m.room.guest_access" && e.StateKeyEquals("") {
			w.note(l.Room)
		}
	}
}

func (w *Watch) note(room int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.due) < maxDue {
		w.due[room] = true
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Watch) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		w.mu.Lock()
		due := w.due
		w.due = map[int64]bool{}
		w.mu.Unlock()
		for nid := range due {
			if err := w.look(ctx, nid); err != nil && ctx.Err() == nil {
				w.log.Warn("make guests leave", "room", nid, "error", err)
			}
		}
	}
}

func (w *Watch) look(ctx context.Context, nid int64) error {
	room, err := w.rooms.RoomByNID(ctx, nid)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil // purged meanwhile
	}
	if err != nil {
		return err
	}
	return w.rooms.ExpelGuests(ctx, room)
}

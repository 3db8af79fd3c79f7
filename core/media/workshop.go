package media

import (
	"context"
	"sync"
)

// picturesAtOnce bounds how many pictures are decoded at a time, and with Options.ImageBytes their memory.
const picturesAtOnce = 2

// workshop makes each thumbnail once, however many ask for it, and few at a time.
type workshop struct {
	benches chan struct{}
	mu      sync.Mutex
	at      map[thumbJob]chan struct{} // closed when the job ends
}

type thumbJob struct {
	tenant       int64
	digest, kind string
}

func newWorkshop() *workshop {
	return &workshop{benches: make(chan struct{}, picturesAtOnce), at: map[thumbJob]chan struct{}{}}
}

// once does a job when a bench is free. Those who come for a job that is under way wait for its end and do it again,
// which then finds what was stored.
func (w *workshop) once(ctx context.Context, job thumbJob, do func() (*File, error)) (*File, error) {
	for {
		w.mu.Lock()
		underway, busy := w.at[job]
		if !busy {
			w.at[job] = make(chan struct{})
		}
		w.mu.Unlock()
		if !busy {
			return w.work(ctx, job, do)
		}
		select {
		case <-underway:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *workshop) work(ctx context.Context, job thumbJob, do func() (*File, error)) (*File, error) {
	defer w.finish(job)
	select {
	case w.benches <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-w.benches }()
	return do()
}

func (w *workshop) finish(job thumbJob) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.at[job])
	delete(w.at, job)
}

package media

import (
	"context"
	"sync"
	"time"

	"rempart/storage"
)

// Bounds of noting when files were served.
const (
	usedEvery = 24 * time.Hour // how often it is noted of one file
	usedMost  = 50_000         // files remembered; beyond it all are noted anew
	usedBatch = 500
)

// uses remembers which files were served lately, so that each is noted once a day. It may be used concurrently.
type uses struct {
	mu    sync.Mutex
	noted map[Address]time.Time
	fresh []Address // not written yet
}

// note remembers that a file was served.
func (u *uses) note(a Address, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, ok := u.noted[a]; ok && now.Sub(at) < usedEvery {
		return
	}
	if u.noted == nil || len(u.noted) >= usedMost {
		u.noted = map[Address]time.Time{}
	}
	u.noted[a] = now
	if len(u.fresh) < usedMost {
		u.fresh = append(u.fresh, a)
	}
}

// take hands out some of the files that are to be written down.
func (u *uses) take() []Address {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := min(len(u.fresh), usedBatch)
	some := u.fresh[:n:n]
	u.fresh = u.fresh[n:]
	return some
}

// writeUses writes down which files were served.
func (s *Service) writeUses(ctx context.Context) error {
	for {
		some := s.used.take()
		if len(some) == 0 {
			return nil
		}
		c := &storage.Change{}
		for _, a := range some {
			c.Guard(storage.UseMedia(a.Origin, a.ID, s.nowMS()))
		}
		if err := s.DB.Commit(ctx, c); err != nil {
			return err
		}
	}
}

// noteRegularly writes down every minute which files were served, and at the end what is left.
func (s *Service) noteRegularly() {
	again := time.NewTicker(time.Minute)
	defer again.Stop()
	for {
		select {
		case <-s.run.Done():
			if err := s.writeUses(context.WithoutCancel(s.run)); err != nil {
				s.Log.Warn("note when files were served", "error", err)
			}
			return
		case <-again.C:
		}
		if err := s.writeUses(s.run); err != nil && s.run.Err() == nil {
			s.Log.Warn("note when files were served", "error", err)
		}
	}
}

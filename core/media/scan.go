package media

import (
	"errors"
	"fmt"
	"time"

	"rempart/storage"
)

// scanBatch is how many files that wait for the scanner are listed at once.
const scanBatch = 64

func (s *Service) wakeScanner() {
	select {
	case s.scans <- struct{}{}:
	default: // it will look anyway
	}
}

// scanRegularly has what is held judged, when something came, and again and again what has no verdict yet.
func (s *Service) scanRegularly() {
	again := time.NewTicker(scanAgainEvery)
	defer again.Stop()
	for {
		if err := s.scanHeld(); err != nil && s.run.Err() == nil {
			s.Log.Error("scan media", "error", err)
		}
		select {
		case <-s.run.Done():
			return
		case <-s.scans:
		case <-again.C:
		}
	}
}

// scanHeld goes through all that is held, once, and answers the first failure. A file without a verdict keeps none
// behind it from theirs.
func (s *Service) scanHeld() (failed error) {
	var after storage.Media
	for {
		list, err := s.DB.ListHeldMedia(s.run, after, scanBatch)
		if err != nil || len(list) == 0 {
			return errors.Join(failed, err)
		}
		for _, m := range list {
			if err := s.scanOne(m); err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", Address{m.Origin, m.ID}, err)
			}
		}
		after = list[len(list)-1]
	}
}

func (s *Service) scanOne(m storage.Media) error {
	content, err := s.Store.Open(s.run, m.Tenant, m.Digest)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	clean, err := s.Scanner.Scan(s.run, content)
	if err != nil {
		return err
	}
	state := storage.MediaReady
	if !clean {
		state = storage.MediaInfected
	}
	change := &storage.Change{}
	change.Guard(storage.SettleMedia(m, state))
	if !clean {
		change.Guard(storage.FreeMediaQuota(m.User, m.Size))
		s.Log.Warn("the virus scanner refused a file", "media", Address{m.Origin, m.ID}.String(), "tenant", m.Tenant)
	}
	if err := s.DB.Commit(s.run, change); err != nil && !errors.Is(err, storage.ErrGuard) { // else it was deleted meanwhile
		return err
	}
	s.waiting.wake(Address{m.Origin, m.ID})
	return nil
}

package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"rempart/storage"
)

// sweepRegularly removes garbage at the start and every hour.
func (s *Service) sweepRegularly() {
	again := time.NewTicker(sweepEvery)
	defer again.Stop()
	for {
		if n, err := s.Sweep(s.run); err != nil && s.run.Err() == nil {
			s.Log.Error("sweep media", "error", err)
		} else if n > 0 {
			s.Log.Info("swept media", "files", n)
		}
		select {
		case <-s.run.Done():
			return
		case <-again.C:
		}
	}
}

// Sweep removes addresses that were never filled, and files to which nothing refers with their thumbnails. It answers
// how many files went. Files that are younger than an hour stay, since an upload may be about to name them.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	if err := s.DB.PruneExpiredMedia(ctx, s.nowMS()); err != nil {
		return 0, fmt.Errorf("forget expired media: %w", err)
	}
	before := s.Clock().Add(-sweepAge)
	total := 0
	err := s.Store.List(ctx, func(tenant int64, prefix []byte, digests [][]byte) error {
		n, err := s.sweepGroup(ctx, tenant, prefix, digests, before)
		total += n
		return err
	})
	return total, errors.Join(err, s.Store.Clean(ctx, before))
}

// sweepGroup removes those of a group of files that nothing refers to.
func (s *Service) sweepGroup(ctx context.Context, tenant int64, prefix []byte, digests [][]byte, before time.Time) (int, error) {
	end := append(bytes.Clone(prefix), bytes.Repeat([]byte{0xff}, 33-len(prefix))...)
	used, err := s.DB.ListMediaDigests(ctx, tenant, prefix, end)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, digest := range digests {
		if used[string(digest)] {
			continue
		}
		gone, err := s.Store.Delete(ctx, tenant, digest, before, func() (bool, error) { return s.unused(ctx, tenant, digest) })
		if err != nil {
			return total, fmt.Errorf("delete media file: %w", err)
		}
		if gone {
			total++
		}
	}
	return total, nil
}

// unused reports whether nothing refers to a file, and forgets the thumbnails of one that goes.
func (s *Service) unused(ctx context.Context, tenant int64, digest []byte) (bool, error) {
	used, err := s.DB.ListMediaDigests(ctx, tenant, digest, append(bytes.Clone(digest), 0))
	if err != nil || len(used) > 0 {
		return false, err
	}
	change := &storage.Change{}
	change.Guard(storage.DeleteThumbs(tenant, digest))
	return true, s.DB.Commit(ctx, change)
}

// Delete forgets an address and gives its bytes back to the account. The file goes with the next sweep, unless another
// address has the same content.
func (s *Service) Delete(ctx context.Context, a Address) error {
	m, err := s.DB.FindMedia(ctx, a.Origin, a.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return unknown()
	}
	if err != nil {
		return fmt.Errorf("find media: %w", err)
	}
	change := &storage.Change{}
	change.Guard(storage.DeleteMedia(a.Origin, a.ID).OrElse(unknown()))
	if len(m.Digest) > 0 {
		change.Guard(storage.FreeMediaQuota(m.User, m.Size))
	}
	return s.DB.Commit(ctx, change)
}

// Quarantine locks an address away in somebody's name, or with "" gives it back.
func (s *Service) Quarantine(ctx context.Context, a Address, by string) error {
	change := &storage.Change{}
	change.Guard(storage.QuarantineMedia(a.Origin, a.ID, by).OrElse(unknown()))
	return s.DB.Commit(ctx, change)
}

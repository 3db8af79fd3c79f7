package ledger

import (
	"context"
	"errors"

	"rempart/storage"
)

// Replay gives the records of what left or was refused between two instants in milliseconds (a second one of 0 is now), in order, for whoever asks
// what another policy would have made of them. What was sealed away is left out: since is the time of the first record that is still there. fn must not
// keep the record.
func (s *Service) Replay(ctx context.Context, from, to int64, fn func(*Record) error) (since int64, err error) {
	s.flush(true) //nolint:contextcheck // as in collect
	head, err := s.db.GetLedgerHead(ctx)
	if err != nil {
		return 0, err
	}
	first, err := s.db.FindLedgerTime(ctx, from)
	if errors.Is(err, storage.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	err = s.scan(ctx, first, head.Size, func(r *Record) error {
		if since == 0 {
			since = r.TS
		}
		if to != 0 && r.TS > to || !r.Passage() {
			return ctx.Err()
		}
		var err error
		r.each(func(r *Record) {
			if err == nil {
				err = fn(r)
			}
		})
		return err
	})
	return since, err
}

// Passage reports whether a record is about something that passed to the outside, or would have.
func (r *Record) Passage() bool {
	switch r.Kind {
	case Connection, Refused, Transaction, Answer, Internal:
		return true
	default:
		return false
	}
}

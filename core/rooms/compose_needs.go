package rooms

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// errNeeds says that a build lacks numbers which cannot be had under a room's mutex.
// Why: to take numbers is a write, and nobody waits for a write of another while he holds a room.
var errNeeds = errors.New("rooms: numbers are needed")

// needs are the numbers that a build takes: event numbers in stock, and names to be interned.
type needs struct {
	events int64
	stock  []int64
	tuples []matrix.StateTuple
	users  []matrix.UserID
}

// satisfy gets what was asked for; no mutex is held.
func (n *needs) satisfy(ctx context.Context, s *Service) error {
	for missing := n.events - int64(len(n.stock)); missing > 0; missing = n.events - int64(len(n.stock)) {
		count := min(missing, 1024)
		first, err := s.db.NewIDs(ctx, storage.EventNIDs, count)
		if err != nil {
			return err
		}
		for i := range count {
			n.stock = append(n.stock, first+i)
		}
	}
	if err := s.db.InternStateKeys(ctx, n.tuples); err != nil {
		return err
	}
	if err := s.db.InternUsers(ctx, n.users); err != nil {
		return err
	}
	n.tuples, n.users = nil, nil
	return nil
}

// stateKey is the number of a pair, or a need noted.
func (n *needs) stateKey(ctx context.Context, s *Service, t matrix.StateTuple) (int64, error) {
	nid, err := s.db.FindStateKeyNID(ctx, t)
	if errors.Is(err, storage.ErrNotFound) {
		n.tuples = append(n.tuples, t)
		return 0, errNeeds
	}
	return nid, err
}

// user is the number of a user, or a need noted.
func (n *needs) user(ctx context.Context, s *Service, u matrix.UserID) (int64, error) {
	nid, err := s.db.FindUserNID(ctx, u)
	if errors.Is(err, storage.ErrNotFound) {
		n.users = append(n.users, u)
		return 0, errNeeds
	}
	return nid, err
}

// names notes all names that a list of drafts needs, so that one round outside the mutex is enough.
func (n *needs) names(ctx context.Context, s *Service, drafts []Draft) error {
	var first error
	note := func(err error) error {
		if errors.Is(err, errNeeds) {
			first = errNeeds
			return nil
		}
		return err
	}
	for i := range drafts {
		d := &drafts[i]
		if _, err := n.user(ctx, s, d.Sender); note(err) != nil {
			return err
		}
		if d.StateKey == nil {
			continue
		}
		if _, err := n.stateKey(ctx, s, matrix.StateTuple{Type: d.Type, Key: *d.StateKey}); note(err) != nil {
			return err
		}
		if d.Type == "m.room.member" {
			if _, err := n.user(ctx, s, matrix.UserID(*d.StateKey)); note(err) != nil {
				return err
			}
		}
	}
	if n.events > int64(len(n.stock)) {
		first = errNeeds
	}
	return first
}

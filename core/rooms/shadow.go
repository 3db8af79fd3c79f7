package rooms

import (
	"context"
	"sync/atomic"

	"rempart/internal/matrix"
	"rempart/storage"
)

// shadows are the accounts whose events are built and checked as all others are, but never written: they are answered with
// the id of an event that does not exist.
type shadows struct {
	known atomic.Pointer[map[matrix.UserID]struct{}] // nil: to be read
	gen   atomic.Int64                               // counts the changes heard of
}

// changed forgets what was read: an account was shadow-banned, or is no longer.
func (b *shadows) changed() {
	b.gen.Add(1)
	b.known.Store(nil)
}

// loadShadows are the shadow-banned accounts, read if they are not known.
func (s *Service) loadShadows(ctx context.Context) (map[matrix.UserID]struct{}, error) {
	if m := s.shadows.known.Load(); m != nil {
		return *m, nil
	}
	gen := s.shadows.gen.Load()
	list, err := s.db.ListUsersWith(ctx, storage.UserShadowBanned)
	if err != nil {
		return nil, err
	}
	m := make(map[matrix.UserID]struct{}, len(list))
	for _, id := range list {
		m[id] = struct{}{}
	}
	s.shadows.known.Store(&m)
	if s.shadows.gen.Load() != gen { // what was read may be old already
		s.shadows.known.CompareAndSwap(&m, nil)
	}
	return m, nil
}

// errPretended ends the building of events that are to be answered and not written.
type errPretended struct{ stored []*Stored }

func (errPretended) Error() string { return "the sender is shadow-banned" }

// pretends reports whether drafts come from a shadow-banned account. It may still enter and leave rooms by itself.
func pretends(ctx context.Context, v *View, banned map[matrix.UserID]struct{}, drafts []Draft) (bool, error) {
	for i := range drafts {
		d := &drafts[i]
		if _, is := banned[d.Sender]; !is {
			continue
		}
		if d.Type != "m.room.member" || d.StateKey == nil || *d.StateKey != string(d.Sender) {
			return true, nil
		}
		was, err := v.Membership(ctx, d.Sender)
		if err != nil {
			return false, err
		}
		if was == "join" && textIn(d.Content, "membership") == "join" {
			return true, nil // another name or picture
		}
	}
	return false, nil
}

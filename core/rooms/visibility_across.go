package rooms

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// across are the viewers of one user for several rooms. Not for concurrent use.
type across struct {
	s       *Service
	user    matrix.UserID
	members map[int64]storage.MembershipRow
	viewers map[int64]*viewer
	gone    map[matrix.UserID]bool
}

func (s *Service) acrossFor(user matrix.UserID, members map[int64]storage.MembershipRow) *across {
	return &across{s: s, user: user, members: members, viewers: map[int64]*viewer{}, gone: map[matrix.UserID]bool{}}
}

// in is the viewer for a room; nil for one that the user has nothing to do with.
func (a *across) in(ctx context.Context, nid int64) (*viewer, error) {
	if v := a.viewers[nid]; v != nil {
		return v, nil
	}
	m, ok := a.members[nid]
	if !ok {
		return nil, nil
	}
	room, err := a.s.RoomByNID(ctx, nid)
	if err != nil {
		return nil, err
	}
	oldest, err := a.s.Oldest(ctx, room)
	if err != nil {
		return nil, err
	}
	a.viewers[nid] = &viewer{s: a.s, room: room, user: a.user, at: map[Version]standing{}, gone: a.gone, member: m,
		joined: m.Membership == storage.MemberJoin, oldest: oldest}
	return a.viewers[nid], nil
}

// VisibleAcross keeps those events of several rooms that the user may see, in their order. members says how he stands to
// the rooms now; events of other rooms he does not see.
func (s *Service) VisibleAcross(ctx context.Context, user matrix.UserID, members map[int64]storage.MembershipRow, events []*Stored) ([]*Stored, error) {
	a := s.acrossFor(user, members)
	out := make([]*Stored, 0, len(events))
	for _, e := range events {
		v, err := a.in(ctx, e.Row.Room)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		seen, err := v.filter(ctx, []*Stored{e})
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
	}
	return out, nil
}

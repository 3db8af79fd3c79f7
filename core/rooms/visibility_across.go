package rooms

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// VisibleAcross keeps those events of several rooms that the user may see, in their order. members says how he stands to
// the rooms now; events of other rooms he does not see.
func (s *Service) VisibleAcross(ctx context.Context, user matrix.UserID, members map[int64]storage.MembershipRow, events []*Stored) ([]*Stored, error) {
	viewers := map[int64]*viewer{}
	gone := map[matrix.UserID]bool{}
	out := make([]*Stored, 0, len(events))
	for _, e := range events {
		v := viewers[e.Row.Room]
		if v == nil {
			m, ok := members[e.Row.Room]
			if !ok {
				continue
			}
			room, err := s.RoomByNID(ctx, e.Row.Room)
			if err != nil {
				return nil, err
			}
			v = &viewer{s: s, room: room, user: user, at: map[Version]standing{}, gone: gone, member: m,
				joined: m.Membership == storage.MemberJoin}
			viewers[e.Row.Room] = v
		}
		seen, err := v.filter(ctx, []*Stored{e})
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
	}
	return out, nil
}

package sfu

import (
	"context"
	"slices"
	"strings"

	"rempart/core/calls"
	"rempart/internal/matrix"
)

// Calls lists the calls under way at this node, by room.
func (s *Service) Calls(ctx context.Context) ([]calls.Call, error) {
	live, err := s.Backend.Participants(ctx)
	if err != nil {
		return nil, err
	}
	list := []calls.Call{}
	for _, l := range live {
		p, err := s.Membership.Find(ctx, l.Alias, l.Identity)
		if err != nil {
			continue // of the operator's own test
		}
		i := slices.IndexFunc(list, func(c calls.Call) bool { return c.Room == p.Room })
		if i < 0 {
			i, list = len(list), append(list, calls.Call{Room: p.Room})
		}
		list[i].Participants = append(list[i].Participants, calls.Present{User: p.User, Device: p.Device, Since: 1000 * l.Joined, Tracks: l.Publishing})
	}
	slices.SortFunc(list, func(a, b calls.Call) int { return strings.Compare(string(a.Room), string(b.Room)) })
	return list, nil
}

// End disconnects everybody from the calls of a room, and tells how many they were. They may call again.
func (s *Service) End(ctx context.Context, room matrix.RoomID) (int, error) {
	live, err := s.Backend.Participants(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, l := range live {
		if p, err := s.Membership.Find(ctx, l.Alias, l.Identity); err != nil || p.Room != room {
			continue
		}
		if err := s.Backend.Kick(ctx, l.Alias, l.Identity); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

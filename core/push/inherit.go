package push

import (
	"context"

	"rempart/internal/matrix"
)

// Inherit copies a user's own rule for a room to the room that replaces it, unless he has one for that already.
// Spec: client-server-api/#room-upgrades
func (s *Service) Inherit(ctx context.Context, c *matrix.Caller, old, room matrix.RoomID) error {
	rules, err := s.Rules(ctx, c)
	if err != nil || rules.Find(Room, string(old)) == nil || rules.Find(Room, string(room)) != nil {
		return err
	}
	return s.edit(ctx, c, func(rules *Ruleset) error {
		was := rules.Find(Room, string(old))
		if was == nil {
			return nil
		}
		next := *was
		next.ID = string(room)
		if err := rules.put(NewRule{Kind: Room, Rule: next}); err != nil {
			return err
		}
		rules.Find(Room, next.ID).Enabled = next.Enabled
		return nil
	})
}

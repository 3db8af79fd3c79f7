package rooms

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// guestAccess is the state event that says whether guests may be in a room.
const guestAccess = "m.room.guest_access"

// GuestsAllowed reports whether guests may be in a room. Spec: client-server-api/#guest-access
func (s *Service) GuestsAllowed(ctx context.Context, room *Room) (bool, error) {
	now, err := s.Current(ctx, room)
	if err != nil {
		return false, err
	}
	e, err := now.Get(ctx, matrix.StateTuple{Type: guestAccess})
	if err != nil || e == nil {
		return false, err
	}
	var content struct {
		Access string `json:"guest_access"`
	}
	return matrix.Decode(e.Content, &content) == nil && content.Access == "can_join", nil
}

// ExpelGuests makes this installation's guests leave a room that no longer allows them. Doing it twice harms nobody.
func (s *Service) ExpelGuests(ctx context.Context, room *Room) error {
	allowed, err := s.GuestsAllowed(ctx, room)
	if err != nil || allowed {
		return err
	}
	members, err := s.db.ListLocalMembers(ctx, room.NID(), storage.MemberJoin)
	if err != nil {
		return err
	}
	for _, id := range members {
		user, err := s.db.FindUser(ctx, id)
		if err != nil {
			return err
		}
		if !user.Is(storage.UserGuest) {
			continue
		}
		if err := s.Leave(ctx, MembershipChange{Room: room, Sender: id, Target: id}); err != nil {
			return err
		}
	}
	return nil
}

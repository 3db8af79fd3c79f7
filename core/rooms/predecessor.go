package rooms

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Predecessor is the room that a room replaces, if it is known here and the user has been in it; nil otherwise. A
// predecessor that does not name the room as its replacement counts all the same: the user's own settings are no secret
// to himself.
func (s *Service) Predecessor(ctx context.Context, room *Room, user matrix.UserID) (*Room, error) {
	view, err := s.Current(ctx, room)
	if err != nil {
		return nil, err
	}
	create, err := view.Get(ctx, matrix.StateTuple{Type: "m.room.create"})
	if err != nil || create == nil {
		return nil, err
	}
	content, err := create.CreateContent()
	if err != nil || content.Predecessor == nil {
		return nil, nil // a create event that cannot be read names no room
	}
	old, err := s.Room(ctx, content.Predecessor.RoomID)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := s.standingOf(ctx, old, user)
	if err != nil || m.Membership != storage.MemberJoin && m.Membership != storage.MemberLeave {
		return nil, err
	}
	return old, nil
}

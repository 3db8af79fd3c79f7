package rooms

import (
	"context"

	"rempart/internal/matrix"
)

// EventAnywhere finds an event by its id alone, in a room where the user may see it, or M_NOT_FOUND.
// Spec: client-server-api/#get_matrixclientv3eventseventid
func (s *Service) EventAnywhere(ctx context.Context, user matrix.UserID, id matrix.EventID) (*Room, *Stored, error) {
	found, err := s.db.ListRoomsOfEvent(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	for _, nid := range found {
		room, err := s.RoomByNID(ctx, nid)
		if err != nil {
			return nil, nil, err
		}
		e, err := s.Event(ctx, room, user, id)
		if err == nil || !isNotFound(err) && !matrix.HasCode(err, matrix.CodeForbidden) {
			return room, e, err
		}
	}
	return nil, nil, noEvent()
}

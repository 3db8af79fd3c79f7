package admin

import (
	"context"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// Condition is how a room's graph stands.
func (s *Service) Condition(ctx context.Context, admin matrix.Caller, id matrix.RoomID) (*rooms.Condition, error) {
	r, err := s.Room(ctx, admin, id)
	if err != nil {
		return nil, err
	}
	return s.Graph.Condition(ctx, r)
}

// RepairRoom sets a room's current state anew.
func (s *Service) RepairRoom(ctx context.Context, admin matrix.Caller, id matrix.RoomID, q rooms.RepairRequest) (*rooms.Repair, error) {
	r, err := s.ownRoom(ctx, admin, id)
	if err != nil {
		return nil, err
	}
	if err := s.Note(ctx, admin, "room.repair", string(id), map[string]any{"alone": q.Alone, "servers": q.Servers, "adopt": q.Adopt}); err != nil {
		return nil, err
	}
	return s.Graph.RepairState(ctx, r, q)
}

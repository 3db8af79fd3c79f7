package users

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// InheritTags copies a user's tags of a room to the room that replaces it, unless he tagged that already.
// Spec: client-server-api/#room-upgrades
func (s *Service) InheritTags(ctx context.Context, c matrix.Caller, old, room int64) error {
	was, err := s.db.FindAccountData(ctx, c.UserNID, old, tagsType)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	change := accountDataChange(c.UserNID, room, tagsType, was.Content)
	change.Guard(storage.AccountDataIs(c.UserNID, room, tagsType, nil))
	if err := s.db.Commit(ctx, change); !errors.Is(err, storage.ErrGuard) {
		return err
	}
	return nil
}

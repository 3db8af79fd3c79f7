package users

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// mutualPage bounds how many rooms one answer names.
const mutualPage = 200

// MutualRooms lists the rooms that the caller shares with another user, after one of them, and counts them all; next is 0
// when there are no more. Whom nobody here knows shares none. Spec: client-server-api/#get_matrixclientv1mutual_rooms
func (s *Service) MutualRooms(ctx context.Context, c matrix.Caller, other matrix.UserID, after int64) (nids []int64, total, next int64, err error) {
	if other == c.User {
		return nil, 0, 0, matrix.InvalidParam("You share all your rooms with yourself.")
	}
	nid, err := s.db.FindUserNID(ctx, other)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, 0, 0, nil
	}
	if err != nil {
		return nil, 0, 0, err
	}
	nids, total, err = s.db.ListSharedRooms(ctx, c.UserNID, nid, after, mutualPage+1)
	if len(nids) > mutualPage {
		nids = nids[:mutualPage]
		next = nids[mutualPage-1]
	}
	return nids, total, next, err
}

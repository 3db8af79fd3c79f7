package rooms

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// admitted refuses to bring anybody into a room that administrators have blocked.
func (s *Service) admitted(ctx context.Context, id matrix.RoomID) error {
	_, err := s.db.FindBlockedRoom(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return matrix.Forbidden("This room has been blocked on this server.").French("Ce salon a été bloqué sur ce serveur.")
}

// mayRefuse forbids to refuse the invitation by which the server speaks to its users. Once joined, the room may be left.
// Spec: client-server-api/#server-notices
func (s *Service) mayRefuse(ctx context.Context, r *Room, user matrix.UserID) error {
	m, err := s.standingOf(ctx, r, user)
	if err != nil || m.Membership != storage.MemberInvite {
		return err
	}
	is, err := s.db.IsNoticeRoom(ctx, m.User, r.nid)
	if err == nil && is {
		err = matrix.NewError(403, matrix.CodeCannotLeaveServerNoticeRoom, "You cannot refuse the invitation to the room of server notices.").
			French("Vous ne pouvez pas refuser l'invitation au salon des annonces du serveur.")
	}
	return err
}

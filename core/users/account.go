package users

import (
	"context"
	"encoding/json"

	"rempart/internal/matrix"
	"rempart/storage"
)

// ChangePassword sets a new password for the caller, after he has shown the old one, and ends his other sessions
// unless he wants to keep them. Spec: client-server-api/#post_matrixclientv3accountpassword
func (s *Service) ChangePassword(ctx context.Context, c matrix.Caller, password string, keepOthers bool, auth json.RawMessage) error {
	_, err := s.Interact(ctx, Interaction{Operation: "change password", User: c, Flows: [][]string{{StagePassword}}, Auth: auth})
	if err != nil {
		return err
	}
	if err := checkNewPassword(password); err != nil {
		return err
	}
	text, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	change := &storage.Change{}
	change.Guard(storage.UpdatePassword(c.UserNID, text))
	if keepOthers {
		return s.db.Commit(ctx, change)
	}
	// Why the sessions of the caller's own device stay: he goes on with the token he has.
	return s.endSessions(ctx, c.UserNID, c.DeviceNID, change)
}

// Deactivate closes the caller's account for ever: no password, no sessions, no profile. With erase his data of his
// own goes too. Spec: client-server-api/#post_matrixclientv3accountdeactivate
func (s *Service) Deactivate(ctx context.Context, c matrix.Caller, erase bool, auth json.RawMessage) error {
	_, err := s.Interact(ctx, Interaction{Operation: "deactivate", User: c, Flows: [][]string{{StagePassword}}, Auth: auth})
	if err != nil {
		return err
	}
	if s.members != nil {
		if err := s.members.LeaveAll(ctx, c.User, c.UserNID); err != nil {
			s.log.Warn("leave rooms of a closed account", "user", string(c.User), "error", err)
		}
	}
	change := &storage.Change{}
	change.Guard(storage.UpdatePassword(c.UserNID, ""), storage.UpdateUserFlags(c.UserNID, storage.UserDeactivated, storage.UserAdmin))
	change.Guard(storage.DeleteProfile(c.UserNID)...)
	change.Guard(storage.DeleteCrossSigning(c.UserNID)...)
	change.Guard(storage.DeleteKeyBackups(c.UserNID)...)
	if erase {
		change.Guard(storage.DeleteUserData(c.UserNID))
	}
	change.Live(storage.Live{Kind: storage.KindProfile, User: c.UserNID})
	return s.endSessions(ctx, c.UserNID, 0, change)
}

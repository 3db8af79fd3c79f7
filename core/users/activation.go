package users

import (
	"context"
	"errors"
	"time"

	"rempart/internal/mail"
	"rempart/internal/matrix"
	"rempart/storage"
)

// activationLife is how long the link works by which somebody chooses the first password of his account.
const activationLife = 14 * 24 * time.Hour

// Activation is an account that waits for its owner to choose a password.
type Activation struct {
	User matrix.UserID
	// Set is false when the account has a password: the link then sets a new one.
	Set bool
}

// FindActivation is the account that a link is for.
func (s *Service) FindActivation(ctx context.Context, token string) (Activation, error) {
	user, err := s.personOf(ctx, token, tokenActivate)
	return Activation{User: user.ID, Set: user.Password == ""}, err
}

// personOf is the open account that a secret stands for.
func (s *Service) personOf(ctx context.Context, token, purpose string) (storage.User, error) {
	hash := hashToken(token)
	nid, err := s.db.FindPersonToken(ctx, hash[:], purpose, s.nowMS())
	if errors.Is(err, storage.ErrNotFound) {
		return storage.User{}, errLink()
	}
	if err != nil {
		return storage.User{}, err
	}
	user, err := s.db.GetUser(ctx, nid)
	if err == nil && user.Is(storage.UserDeactivated) {
		err = errLink()
	}
	return user, err
}

// Activate sets the password of the account that a link is for; the link has served then, and all sessions end.
func (s *Service) Activate(ctx context.Context, token, password string) (matrix.UserID, error) {
	user, err := s.personOf(ctx, token, tokenActivate)
	if err != nil {
		return "", err
	}
	if err := s.newPassword(password, user.ID); err != nil {
		return "", err
	}
	text, err := s.hasher.hash(ctx, password)
	if err != nil {
		return "", err
	}
	hash := hashToken(token)
	c := &storage.Change{}
	c.Guard(storage.UsePersonToken(hash[:], tokenActivate, s.nowMS()).OrElse(errLink()))
	c.Guard(storage.DeletePersonTokens(user.NID, tokenActivate))
	c.Guard(storage.UpdatePasswordFrom(user.NID, user.Password, text).OrElse(errLink()))
	return user.ID, s.endSessions(ctx, user.NID, 0, c)
}

// newPassword refuses a password that cannot be used or that the policy does not allow.
func (s *Service) newPassword(password string, user matrix.UserID) error {
	if err := checkNewPassword(password); err != nil {
		return err
	}
	return s.people.Policy.check(password, user)
}

// activationLink adds to a Change a link for a person to choose a password.
func (s *Service) activationLink(c *storage.Change, user int64, server matrix.ServerName) string {
	return s.link(server, "activate", s.addToken(c, user, tokenActivate, activationLife).Token)
}

// ResetLink makes a link by which a person chooses a new password; any earlier one works no more.
func (s *Service) ResetLink(ctx context.Context, operator string, id matrix.UserID) (string, error) {
	user, err := s.open(ctx, id)
	if err != nil {
		return "", err
	}
	c := &storage.Change{}
	c.Guard(storage.DeletePersonTokens(user.NID, tokenActivate))
	link := s.activationLink(c, user.NID, user.ID.Server())
	if err := s.audit(ctx, c, storage.Audit{Admin: operator, Act: "user.reset-link", Target: string(id), Tenant: user.Tenant}); err != nil {
		return "", err
	}
	return link, s.db.Commit(ctx, c)
}

// open finds an account that is not closed; M_NOT_FOUND otherwise.
func (s *Service) open(ctx context.Context, id matrix.UserID) (storage.User, error) {
	user, err := s.GetUser(ctx, id)
	if err == nil && user.Is(storage.UserDeactivated) {
		err = matrix.NotFound("There is no such user here.")
	}
	return user, err
}

// letterTo begins a letter to the owner of an account; ok is false when he gave no address, or there is no mail.
func (s *Service) letterTo(ctx context.Context, user storage.User, kind mail.Kind) (l mail.Letter, ok bool, err error) {
	if s.people.Mail == nil {
		return l, false, nil
	}
	addresses, err := s.db.ListThreepids(ctx, user.NID)
	if err != nil {
		return l, false, err
	}
	for _, a := range addresses {
		if a.Medium == mediumEmail {
			return mail.Letter{To: mail.Address(a.Address), Kind: kind, Language: s.people.Language, User: string(user.ID),
				Server: string(user.ID.Server())}, true, nil
		}
	}
	return l, false, nil
}

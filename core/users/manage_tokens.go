package users

import (
	"context"
	"errors"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// maxTokenName bounds a registration token in bytes, and usualTokenName is the length of one that the server makes.
const (
	maxTokenName   = 64
	usualTokenName = 16
)

// RegistrationToken lets its holders register.
type RegistrationToken = storage.RegistrationToken

// RegistrationTokens lists the registration tokens of an organisation; with valid set, only those that do or do not serve.
func (s *Service) RegistrationTokens(ctx context.Context, admin matrix.Caller, valid *bool) ([]storage.RegistrationToken, error) {
	all, err := s.db.ListRegistrationTokens(ctx, admin.Tenant)
	if err != nil || valid == nil {
		return all, err
	}
	kept := all[:0]
	for _, t := range all {
		if s.serves(t) == *valid {
			kept = append(kept, t)
		}
	}
	return kept, nil
}

func (s *Service) serves(t storage.RegistrationToken) bool {
	return (t.Expires == 0 || t.Expires > s.nowMS()) && (t.UsesAllowed < 0 || t.Completed < t.UsesAllowed)
}

// RegistrationToken reads one token.
func (s *Service) RegistrationToken(ctx context.Context, admin matrix.Caller, token string) (storage.RegistrationToken, error) {
	t, err := s.db.FindRegistrationToken(ctx, token)
	if errors.Is(err, storage.ErrNotFound) || err == nil && t.Tenant != admin.Tenant {
		err = matrix.NotFound("No such registration token: " + token)
	}
	return t, err
}

// MakeRegistrationToken makes a token; without a name it gets one of so many characters (0: the usual number).
func (s *Service) MakeRegistrationToken(ctx context.Context, admin matrix.Caller, t storage.RegistrationToken, length int) (storage.RegistrationToken, error) {
	if length == 0 {
		length = usualTokenName
	}
	if length < 1 || length > maxTokenName {
		return t, matrix.InvalidParam("length must be from 1 to 64.")
	}
	made := t.Token == ""
	for {
		if made {
			t.Token = randomText("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", length)
		}
		if err := s.checkToken(t); err != nil {
			return t, err
		}
		t.Tenant = admin.Tenant
		c := &storage.Change{}
		c.Guard(storage.AddRegistrationToken(t))
		if err := s.audit(ctx, c, storage.Audit{Admin: string(admin.User), Act: "token.create", Tenant: admin.Tenant}); err != nil {
			return t, err
		}
		err := s.db.Commit(ctx, c)
		if !errors.Is(err, storage.ErrGuard) {
			return t, err
		}
		if !made {
			return t, matrix.InvalidParam("Token already exists: " + t.Token)
		}
	}
}

// checkToken holds tokens to their grammar and bounds.
// Spec: client-server-api/#token-authenticated-registration
func (s *Service) checkToken(t storage.RegistrationToken) error {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._~-", r))
	}
	switch {
	case t.Token == "" || len(t.Token) > maxTokenName || strings.ContainsFunc(t.Token, odd):
		return matrix.InvalidParam("A registration token has at most 64 characters: letters, digits and . _ ~ -")
	case t.Expires != 0 && t.Expires <= s.nowMS():
		return matrix.InvalidParam("expiry_time must not be in the past")
	}
	return nil
}

// ChangeRegistrationToken changes the bounds of a token; fn sets them.
func (s *Service) ChangeRegistrationToken(ctx context.Context, admin matrix.Caller, token string, fn func(*storage.RegistrationToken)) (storage.RegistrationToken, error) {
	t, err := s.RegistrationToken(ctx, admin, token)
	if err != nil {
		return t, err
	}
	was := t.Expires
	fn(&t)
	if t.Expires != was {
		if err := s.checkToken(t); err != nil {
			return t, err
		}
	}
	c := &storage.Change{}
	c.Guard(storage.UpdateRegistrationToken(t).OrElse(matrix.NotFound("No such registration token: " + token)))
	if err := s.audit(ctx, c, storage.Audit{Admin: string(admin.User), Act: "token.modify", Tenant: admin.Tenant}); err != nil {
		return t, err
	}
	return t, s.db.Commit(ctx, c)
}

// DeleteRegistrationToken forgets a token.
func (s *Service) DeleteRegistrationToken(ctx context.Context, admin matrix.Caller, token string) error {
	c := &storage.Change{}
	c.Guard(storage.DeleteRegistrationToken(admin.Tenant, token).OrElse(matrix.NotFound("No such registration token: " + token)))
	if err := s.audit(ctx, c, storage.Audit{Admin: string(admin.User), Act: "token.delete", Tenant: admin.Tenant}); err != nil {
		return err
	}
	return s.db.Commit(ctx, c)
}

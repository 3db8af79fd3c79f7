package users

import (
	"context"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Shut is a way in which administrators keep an account from being used.
type Shut storage.UserFlag

// The ways, each of which can be taken back. Spec: client-server-api/#account-moderation
const (
	Locked    = Shut(storage.UserLocked)
	Suspended = Shut(storage.UserSuspended)
)

// act is what the record calls it.
func (f Shut) act(on bool) string {
	name := "user.lock"
	if f == Suspended {
		name = "user.suspend"
	}
	if !on {
		name = "user.un" + name[len("user."):]
	}
	return name
}

// moderated finds an account that an administrator may look at or shut. Why the caller is checked first, by the route:
// whoever is no administrator must not learn who has an account.
func (s *Service) moderated(ctx context.Context, admin matrix.Caller, id matrix.UserID) (storage.User, error) {
	if s.tenants.byName[id.Server()] != admin.Tenant { // of another organisation, or of another server altogether
		return storage.User{}, matrix.InvalidParam("That user is not one of this server.")
	}
	user, err := s.open(ctx, id)
	if err == nil && user.Is(storage.UserAdmin) {
		err = matrix.Forbidden("That user is an administrator.")
	}
	return user, err
}

// IsShut reports whether an account is locked or suspended.
// Spec: client-server-api/#get_matrixclientv1adminlockuserid
func (s *Service) IsShut(ctx context.Context, admin matrix.Caller, id matrix.UserID, f Shut) (bool, error) {
	user, err := s.moderated(ctx, admin, id)
	return user.Is(storage.UserFlag(f)), err
}

// Shut locks or suspends an account, or takes that back, for an administrator.
// Spec: client-server-api/#put_matrixclientv1adminlockuserid
func (s *Service) Shut(ctx context.Context, admin matrix.Caller, id matrix.UserID, f Shut, on bool) error {
	if id == admin.User {
		return matrix.Forbidden("You cannot do this to your own account.")
	}
	user, err := s.moderated(ctx, admin, id)
	if err != nil {
		return err
	}
	return s.shut(ctx, string(admin.User), user, f, on)
}

// ShutByOperator is Shut for whoever has the machine, who may shut administrators too.
func (s *Service) ShutByOperator(ctx context.Context, operator string, id matrix.UserID, f Shut, on bool) error {
	user, err := s.open(ctx, id)
	if err != nil {
		return err
	}
	return s.shut(ctx, operator, user, f, on)
}

func (s *Service) shut(ctx context.Context, who string, user storage.User, f Shut, on bool) error {
	c := &storage.Change{}
	set, unset := storage.UserFlag(f), storage.UserFlag(0)
	if !on {
		set, unset = unset, set
	}
	c.Guard(storage.UpdateUserFlags(user.NID, set, unset))
	c.Live(storage.Live{Kind: storage.KindSession, User: user.NID})
	if err := s.audit(ctx, c, storage.Audit{Admin: who, Act: f.act(on), Target: string(user.ID), Tenant: user.Tenant}); err != nil {
		return err
	}
	return s.db.Commit(ctx, c)
}

// Whois lists the devices of a user with where they were last used: his own, or anybody's for an administrator.
// Spec: client-server-api/#get_matrixclientv3adminwhoisuserid
func (s *Service) Whois(ctx context.Context, c matrix.Caller, id matrix.UserID) ([]storage.Device, error) {
	if id != c.User && (!c.Admin || s.tenants.byName[id.Server()] != c.Tenant) {
		return nil, matrix.Forbidden("Only administrators may look at others.")
	}
	user, err := s.GetUser(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.db.ListDevices(ctx, user.NID)
}

package users

import (
	"context"
	"errors"
	"strings"

	"rempart/core/appservice"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Adopt makes the accounts of the services' own users, where there are none yet.
func (s *Service) Adopt(ctx context.Context) error {
	for _, by := range s.services.All() {
		if _, err := s.db.FindUser(ctx, by.Sender); !errors.Is(err, storage.ErrNotFound) {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := s.createFor(ctx, by, by.Sender, nil); err != nil && !matrix.HasCode(err, matrix.CodeUserInUse) {
			return err
		}
	}
	return nil
}

// createFor makes an account of a service: without a password, and with a session if a device is asked for.
func (s *Service) createFor(ctx context.Context, by *appservice.Service, user matrix.UserID, d *deviceRequest) (*Session, error) {
	return s.create(ctx, NewAccount{Tenant: s.tenants.byName[user.Server()], Server: user.Server(), id: user, service: by.ID, device: d})
}

// ServiceOf is the service that a token is of: 401 when there is none.
// Spec: application-service-api/#server-admin-style-permissions
func (s *Service) ServiceOf(token string) (*appservice.Service, error) {
	if token == "" {
		return nil, matrix.MissingToken()
	}
	if by := s.services.ByToken(token); by != nil {
		return by, nil
	}
	return nil, matrix.UnknownToken(false)
}

// RegisterFor makes an account in the namespace of a service.
// Spec: application-service-api/#server-admin-style-permissions
func (s *Service) RegisterFor(ctx context.Context, by *appservice.Service, q RegisterRequest) (*Session, error) {
	if q.Username == "" {
		return nil, matrix.MissingParam("Say which user by \"username\".")
	}
	local := strings.ToLower(q.Username)
	user := matrix.UserID("@" + local + ":" + string(by.Sender.Server()))
	if err := s.mayOwn(by, user); err != nil {
		return nil, err
	}
	user, err := s.checkName(ctx, local, user.Server())
	if err != nil {
		return nil, err
	}
	var d *deviceRequest
	if !q.InhibitLogin {
		d = &deviceRequest{id: q.DeviceID, name: q.DeviceName, refresh: q.Refresh}
	}
	return s.createFor(ctx, by, user, d)
}

// mayOwn refuses users that are not the service's, or are another's alone.
func (s *Service) mayOwn(by *appservice.Service, user matrix.UserID) error {
	if !by.Owns(user) || s.services.Reserved(user, by) {
		return matrix.Exclusive("This user is not in the application service's namespace.")
	}
	return nil
}

// LoginFor opens a session of a user of a service. Spec: application-service-api/#server-admin-style-permissions
func (s *Service) LoginFor(ctx context.Context, by *appservice.Service, q LoginRequest) (*Session, error) {
	id, err := q.Identifier.userID(by.Sender.Server())
	if err != nil {
		return nil, err
	}
	if err := s.mayOwn(by, id); err != nil {
		return nil, err
	}
	d := deviceRequest{id: q.DeviceID, name: q.DeviceName, refresh: q.Refresh}
	if err := d.check(); err != nil {
		return nil, err
	}
	user, err := s.db.FindUser(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, matrix.Forbidden("There is no such user: register it first.")
	}
	if err != nil {
		return nil, err
	}
	if user.Is(storage.UserDeactivated) {
		return nil, matrix.UserDeactivated()
	}
	c := &storage.Change{}
	c.Guard(storage.UserStill(user.NID, user.Password).OrElse(errLogin()))
	out, err := s.openSession(ctx, c, user, d)
	if err != nil {
		return nil, err
	}
	return out, s.db.Commit(ctx, c)
}

// Masquerade is the caller when a service acts as one of its users (as its sender when user is ""), perhaps on a device.
// Spec: application-service-api/#identity-assertion
func (s *Service) Masquerade(ctx context.Context, by *appservice.Service, user matrix.UserID, device matrix.DeviceID) (matrix.Caller, error) {
	if user == "" {
		user = by.Sender
	}
	if !by.Owns(user) {
		return matrix.Caller{}, matrix.Forbidden("The application service may not act as this user: it is not in its namespace.")
	}
	// Why under a key of the session cache: whatever makes a session stale makes this stale.
	key := hashToken("appservice\x00" + by.ID + "\x00" + string(user) + "\x00" + string(device))
	found, before := s.cache.find(key)
	if found == nil {
		c, flags, err := s.masked(ctx, by, user, device)
		if err != nil {
			return matrix.Caller{}, err
		}
		found = &cached{hash: key, caller: c, flags: flags}
		s.cache.put(found, before)
	}
	switch {
	case found.flags.Has(storage.UserDeactivated):
		return matrix.Caller{}, matrix.Forbidden("This user's account is closed.")
	case found.flags.Has(storage.UserLocked):
		return matrix.Caller{}, matrix.UserLocked()
	}
	return found.caller, nil
}

// masked reads who a service acts as.
func (s *Service) masked(ctx context.Context, by *appservice.Service, id matrix.UserID, device matrix.DeviceID) (matrix.Caller, storage.UserFlag, error) {
	user, err := s.db.FindUser(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return matrix.Caller{}, 0, matrix.Forbidden("The application service has not registered this user.")
	}
	if err != nil {
		return matrix.Caller{}, 0, err
	}
	c := matrix.Caller{
		Tenant: user.Tenant, User: id, UserNID: user.NID, Server: id.Server(), Appservice: by.ID, Device: device,
		Suspended: user.Is(storage.UserSuspended), Unlimited: id == by.Sender || !by.RateLimited,
	}
	if device != "" {
		c.DeviceNID, err = s.db.FindDeviceNID(ctx, user.NID, device)
		if errors.Is(err, storage.ErrNotFound) {
			err = matrix.NewError(400, matrix.CodeUnknownDevice, "The user has no device of that id.")
		}
	}
	return c, user.Flags, err
}

// exists asks the services for a user of ours who is not there, and reports whether he is now.
// Spec: application-service-api/#querying
func (s *Service) exists(ctx context.Context, id matrix.UserID) bool {
	if s.asked == nil || !s.Local(id.Server()) {
		return false
	}
	made, err := s.asked.MakeUser(ctx, id)
	if err != nil {
		s.log.Info("an application service does not say whether a user exists", "user", string(id), "error", err)
	}
	return made
}

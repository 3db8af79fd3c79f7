package users

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Identifier says who somebody claims to be. Spec: client-server-api/#identifier-types
type Identifier struct {
	Type    string `json:"type"`
	User    string `json:"user"`
	Medium  string `json:"medium"`
	Address string `json:"address"`
	Country string `json:"country"`
	Phone   string `json:"phone"`
}

// LoginRequest is a log-in by password.
type LoginRequest struct {
	Identifier Identifier
	Password   string
	DeviceID   matrix.DeviceID
	DeviceName string
	Refresh    bool
	Host       string // the host the request was made to, which decides the tenant
	IP         string // where the request came from; "" when unknown
}

// errLogin is the one answer to every log-in that fails: it tells nobody which part was wrong.
func errLogin() *matrix.Error {
	return matrix.Forbidden("Invalid username or password.").French("Nom d'utilisateur ou mot de passe incorrect.")
}

// Name is the user id that the identifier names on the tenant of a host.
func (s *Service) Name(id Identifier, host string) (matrix.UserID, error) {
	_, server := s.Tenant(host)
	return id.userID(server)
}

// userID reads an identifier; a bare name is one of the given server. Spec: client-server-api/#matrix-user-id
func (id Identifier) userID(server matrix.ServerName) (matrix.UserID, error) {
	switch id.Type {
	case "m.id.user":
		if id.User == "" {
			return "", matrix.MissingParam("The identifier lacks \"user\".")
		}
		if !strings.HasPrefix(id.User, "@") {
			return matrix.UserID("@" + id.User + ":" + string(server)), nil
		}
		user, err := matrix.ParseUserID(id.User)
		if err != nil {
			return "", matrix.InvalidParam("The identifier's \"user\" is not a user id.")
		}
		return user, nil
	case "m.id.thirdparty":
		if id.Medium == "" || id.Address == "" {
			return "", matrix.MissingParam("A third-party identifier needs \"medium\" and \"address\".")
		}
		return "", nil // whose it is, the database says
	case "m.id.phone":
		if id.Country == "" || id.Phone == "" {
			return "", matrix.MissingParam("A phone identifier needs \"country\" and \"phone\".")
		}
		return "", errLogin()
	case "":
		return "", matrix.MissingParam("Say who you are by an \"identifier\".")
	}
	return "", matrix.NewError(400, matrix.CodeUnknown, "This server does not know that type of identifier.")
}

// Login opens a session for whoever knows the password. Spec: client-server-api/#post_matrixclientv3login
func (s *Service) Login(ctx context.Context, q LoginRequest) (*Session, error) {
	d := deviceRequest{id: q.DeviceID, name: q.DeviceName, refresh: q.Refresh}
	if err := d.check(); err != nil {
		return nil, err
	}
	tenant, server := s.Tenant(q.Host)
	id, err := s.name(ctx, q.Identifier, tenant, server)
	if err != nil {
		return nil, err
	}
	user, err := s.limitedPassword(ctx, id, q)
	if err != nil {
		return nil, err
	}
	c := &storage.Change{}
	// Why a guard: the account may have been closed or its password changed while this one was checked.
	c.Guard(storage.UserStill(user.NID, user.Password).OrElse(errLogin()))
	out, err := s.openSession(ctx, c, user, d)
	if err != nil {
		return nil, err
	}
	return out, s.db.Commit(ctx, c)
}

// checkPassword finds the account of a name and password. Capitals in a name count only when there is an account that
// is spelt with them.
func (s *Service) checkPassword(ctx context.Context, id matrix.UserID, password string) (storage.User, error) {
	if len(password) > maxPassword {
		return storage.User{}, errLogin()
	}
	user, err := s.db.FindUser(ctx, id)
	if id == "" {
		err = storage.ErrNotFound
	}
	if small := lower(id); errors.Is(err, storage.ErrNotFound) && small != id {
		user, err = s.db.FindUser(ctx, small)
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return user, err
	}
	// Why also for nobody: a refusal must take as long as for an account that exists.
	ok, stale, err := s.hasher.check(ctx, user.Password, password)
	switch {
	case err != nil:
		return user, err
	case !ok:
		return user, errLogin()
	case mayLogin(user) != nil:
		return user, mayLogin(user)
	case stale:
		return s.rehash(ctx, user, password)
	}
	return user, nil
}

// rehash stores a password at today's cost.
func (s *Service) rehash(ctx context.Context, user storage.User, password string) (storage.User, error) {
	text, err := s.hasher.hash(ctx, password)
	if err != nil {
		return user, err
	}
	c := &storage.Change{}
	c.Guard(storage.UpdatePasswordFrom(user.NID, user.Password, text).OrElse(errLogin()))
	user.Password = text
	return user, s.db.Commit(ctx, c)
}

// lower is a user id with its localpart in lower case.
func lower(id matrix.UserID) matrix.UserID {
	if id.Server() == "" {
		return id
	}
	return matrix.UserID("@" + strings.ToLower(id.Localpart()) + ":" + string(id.Server()))
}

// How many log-ins may fail at no cost, and by how much each further one makes an account, or an address, wait.
const (
	failuresFree = 10
	failureStep  = 30 * time.Second
	// So many tokens that nobody has may an address show at once, and then one each step.
	strangersFree = 300
	strangerStep  = 200 * time.Millisecond
)

// How many letters an address may be sent at no cost, and how long each further one has to wait.
const (
	lettersFree = 5
	letterStep  = 12 * time.Minute
)

// name is the user id that an identifier names; "" for an address that nobody has.
func (s *Service) name(ctx context.Context, id Identifier, tenant int64, server matrix.ServerName) (matrix.UserID, error) {
	user, err := id.userID(server)
	if err != nil || id.Type != "m.id.thirdparty" {
		return user, err
	}
	return s.byAddress(ctx, id, tenant)
}

// neighbourhood is what one subscriber holds: an IPv4 address, or the first half of an IPv6 address.
func neighbourhood(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is6() {
		return ip
	}
	prefix, _ := addr.Prefix(64) // 64 fits
	return prefix.String()
}

// limitedPassword checks a password unless this account, or this address, has failed too often of late.
// Why a success forgives the account only: whoever has one account could go on guessing at others.
func (s *Service) limitedPassword(ctx context.Context, id matrix.UserID, q LoginRequest) (storage.User, error) {
	names := []string{string(lower(id))}
	if id == "" {
		names[0] = q.Identifier.Medium + " " + strings.ToLower(q.Identifier.Address)
	}
	if q.IP != "" {
		names = append(names, "from "+neighbourhood(q.IP))
	}
	if !s.people.ManyFailures {
		for _, name := range names {
			if err := s.failed.check(name, s.now()); err != nil {
				return storage.User{}, err
			}
		}
	}
	user, err := s.checkPassword(ctx, id, q.Password)
	switch {
	case err == nil:
		s.failed.forgive(names[0])
	case matrix.HasCode(err, matrix.CodeForbidden):
		for _, name := range names {
			s.failed.fail(name, s.now())
		}
	}
	return user, err
}

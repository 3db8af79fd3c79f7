package users

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// RegisterRequest asks for a new account.
type RegisterRequest struct {
	Username     string // "" lets the server choose
	Password     string
	DeviceID     matrix.DeviceID
	DeviceName   string
	InhibitLogin bool
	Refresh      bool
	Auth         json.RawMessage
	Host         string // the host the request was made to, which decides the tenant
}

// Register makes an account for whoever is allowed to have one, after user-interactive authentication.
// Spec: client-server-api/#post_matrixclientv3register
func (s *Service) Register(ctx context.Context, q RegisterRequest) (*Session, error) {
	flows, err := s.registrationFlows(ctx)
	if err != nil {
		return nil, err
	}
	tenant, server := s.Tenant(q.Host)
	a := NewAccount{Tenant: tenant, Server: server, Password: q.Password, Username: q.Username}
	if q.Username == "" {
		a.Username = newLocalpart()
	}
	// Spec: the name is checked before the authentication.
	id, err := s.freeName(ctx, a.Username, server)
	if err != nil {
		return nil, err
	}
	a.id = id
	if q.Password != "" { // Spec: it may come with the last request only
		if err := s.newPassword(q.Password, id); err != nil {
			return nil, err
		}
	}
	a.shown, err = s.interact(ctx, Interaction{Operation: "register", Flows: flows, Auth: q.Auth, EmailFor: ForRegistration, Tenant: tenant})
	if err != nil {
		return nil, err
	}
	a.self = true
	if token := a.shown.token; token != "" {
		a.guards = append(a.guards, storage.UseRegistrationToken(token, s.nowMS()).
			OrElse(matrix.Unauthorized("This registration token is unknown or used up.")))
	}
	if !q.InhibitLogin {
		a.device = &deviceRequest{id: q.DeviceID, name: q.DeviceName, refresh: q.Refresh}
	}
	return s.create(ctx, a)
}

// registrationFlows are the ways by which somebody may register now; M_FORBIDDEN when there is none.
func (s *Service) registrationFlows(ctx context.Context) ([][]string, error) {
	if flows := s.registrationStages(); s.reg.Open && len(flows) > 0 {
		return flows, nil
	}
	tokens, err := s.db.HasRegistrationTokens(ctx)
	if err != nil {
		return nil, err
	}
	if flows := s.registrationStages(StageToken); tokens && len(flows) > 0 {
		return flows, nil
	}
	return nil, matrix.Forbidden("Registration is closed on this server. Its operator can make you an account with " +
		"\"rempart user create\", give you a registration token, or open registration in the configuration.").
		French("Les inscriptions sont fermées sur ce serveur. Son administrateur peut créer votre compte.")
}

// RegistrationOpen reports whether anybody may make an account by himself.
func (s *Service) RegistrationOpen() bool { return s.reg.Open && len(s.registrationStages()) > 0 }

// Available answers whether a name can be registered: nil, M_USER_IN_USE or M_INVALID_USERNAME.
// Spec: client-server-api/#get_matrixclientv3registeravailable
func (s *Service) Available(ctx context.Context, username, host string) error {
	if username == "" {
		return matrix.MissingParam("Say which name by \"username\".")
	}
	_, server := s.Tenant(host)
	_, err := s.freeName(ctx, username, server)
	return err
}

// freeName is checkName for names that people choose: those of application services are not for them.
// Spec: application-service-api/#server-admin-style-permissions
func (s *Service) freeName(ctx context.Context, username string, server matrix.ServerName) (matrix.UserID, error) {
	id := matrix.UserID("@" + strings.ToLower(username) + ":" + string(server))
	if s.services.Reserved(id, nil) {
		return "", matrix.Exclusive("This user name is reserved for an application service.").
			French("Ce nom d'utilisateur est réservé à un service applicatif.")
	}
	return s.checkName(ctx, username, server)
}

// checkName turns a wanted name into a user id that nobody has. Spec: appendices/#user-identifiers
func (s *Service) checkName(ctx context.Context, username string, server matrix.ServerName) (matrix.UserID, error) {
	local := strings.ToLower(username)
	id := matrix.UserID("@" + local + ":" + string(server))
	switch {
	case !matrix.ValidLocalpart(local):
		return "", matrix.InvalidUsername("A user name may hold only the letters a to z, digits and . _ = - / +").
			French("Un nom d'utilisateur ne peut contenir que les lettres a à z, des chiffres et . _ = - / +")
	case len(id) > matrix.MaxIDLength:
		return "", matrix.InvalidUsername("This user name is too long.").French("Ce nom d'utilisateur est trop long.")
	}
	_, err := s.db.FindUser(ctx, id)
	switch {
	case err == nil:
		return "", errInUse()
	case errors.Is(err, storage.ErrNotFound):
		return id, nil
	}
	return "", err
}

func errInUse() *matrix.Error {
	return matrix.UserInUse().French("Ce nom d'utilisateur est déjà pris.")
}

// NewAccount is an account to be made, by registration or by an administrator.
type NewAccount struct {
	Tenant      int64
	Server      matrix.ServerName
	Username    string
	Password    string
	DisplayName string
	Admin       bool

	id     matrix.UserID
	device *deviceRequest // nil opens no session
	guards []storage.Guard
	audit  *storage.Audit
	// service is the application service that the account belongs to, "" for people.
	service string
	self    bool  // by its owner, who showed what is in shown
	shown   shown // what he showed for it
}

// create makes the account and its first session in one Change: of several who want one name, one gets it.
func (s *Service) create(ctx context.Context, a NewAccount) (*Session, error) {
	if err := checkNewPassword(a.Password); err != nil && a.service == "" {
		return nil, err
	}
	if a.device != nil {
		if err := a.device.check(); err != nil {
			return nil, err
		}
	}
	text, err := "", error(nil)
	if a.service == "" { // those of services have none
		if text, err = s.hasher.hash(ctx, a.Password); err != nil {
			return nil, err
		}
	}
	nid, err := s.db.UserNID(ctx, a.id)
	if err != nil {
		return nil, err
	}
	user := storage.User{NID: nid, Tenant: a.Tenant, ID: a.id, Password: text, Created: s.nowMS(), DisplayName: a.DisplayName,
		Appservice: a.service}
	if a.Admin {
		user.Flags |= storage.UserAdmin
	}
	c := &storage.Change{}
	c.Guard(storage.InsertUser(user).OrElse(errInUse()))
	c.Guard(a.guards...)
	if a.self {
		if err := s.accept(ctx, c, user, a.shown); err != nil {
			return nil, err
		}
	}
	if row := s.startsNow(nid); row != nil && !a.Admin && a.service == "" {
		c.Add(row)
	}
	out := &Session{UserID: a.id}
	if a.device != nil {
		if out, err = s.openSession(ctx, c, user, *a.device); err != nil {
			return nil, err
		}
	}
	if a.audit != nil {
		a.audit.Tenant, a.audit.Target = a.Tenant, string(a.id)
		if err := s.audit(ctx, c, *a.audit); err != nil {
			return nil, err
		}
	}
	return out, s.db.Commit(ctx, c)
}

// seedTokens stores the registration tokens that the configuration names.
func (s *Service) seedTokens(ctx context.Context) error {
	c := &storage.Change{}
	for _, t := range s.reg.Tokens {
		c.Guard(storage.InsertRegistrationToken(storage.RegistrationToken{
			Token: t, Tenant: s.tenants.byName[s.tenants.first], UsesAllowed: -1,
		}))
	}
	if len(c.Guards) == 0 {
		return nil
	}
	return s.db.Commit(ctx, c)
}

// TokenValid reports whether a registration token can still be used.
// Spec: client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity
func (s *Service) TokenValid(ctx context.Context, token string) (bool, error) {
	t, err := s.db.FindRegistrationToken(ctx, token)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return (t.Expires == 0 || t.Expires > s.nowMS()) && (t.UsesAllowed < 0 || t.Completed < t.UsesAllowed), err
}

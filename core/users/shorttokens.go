package users

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// What a short token is for; the words are stored.
const (
	tokenOpenID   = "openid"
	tokenLogin    = "login"
	tokenActivate = "activate"
	tokenRenew    = "renew"
)

// How long short tokens live.
const (
	openIDLife     = time.Hour
	loginTokenLife = 2 * time.Minute
)

// ShortToken is a secret for one purpose, with how long it lives.
type ShortToken struct {
	Token string
	Life  time.Duration
}

// addToken adds to a Change a secret that stands for a person.
func (s *Service) addToken(c *storage.Change, user int64, purpose string, life time.Duration) ShortToken {
	token, hash := newToken("rms_")
	c.Add(&storage.PersonTokenRow{PersonToken: storage.PersonToken{
		Hash: hash[:], Purpose: purpose, User: user, Expires: s.now().Add(life).UnixMilli(),
	}})
	return ShortToken{token, life}
}

// OpenIDToken lets others ask this server who the caller is. Spec: client-server-api/#openid
func (s *Service) OpenIDToken(ctx context.Context, c matrix.Caller) (ShortToken, error) {
	change := &storage.Change{}
	t := s.addToken(change, c.UserNID, tokenOpenID, openIDLife)
	return t, s.db.Commit(ctx, change)
}

// OpenIDUser is who a token of [Service.OpenIDToken] stands for; M_UNKNOWN_TOKEN when it is not known any more.
// Spec: server-server-api/#get_matrixfederationv1openiduserinfo
func (s *Service) OpenIDUser(ctx context.Context, token string) (matrix.UserID, error) {
	hash := hashToken(token)
	nid, err := s.db.FindPersonToken(ctx, hash[:], tokenOpenID, s.nowMS())
	if errors.Is(err, storage.ErrNotFound) {
		return "", errOpenID()
	}
	if err != nil {
		return "", err
	}
	user, err := s.db.GetUser(ctx, nid)
	if err == nil && user.Flags&(storage.UserDeactivated|storage.UserLocked|storage.UserExpired) != 0 {
		return "", errOpenID()
	}
	return user.ID, err
}

func errOpenID() *matrix.Error {
	return matrix.NewError(http.StatusUnauthorized, matrix.CodeUnknownToken, "Access token unknown or expired.")
}

// LoginToken lets another device of the caller log in once, after he has shown his password.
// Spec: client-server-api/#post_matrixclientv1loginget_token
func (s *Service) LoginToken(ctx context.Context, c matrix.Caller, auth json.RawMessage) (ShortToken, error) {
	_, err := s.Interact(ctx, Interaction{Operation: "login token", User: c, Flows: [][]string{{StagePassword}}, Auth: auth})
	if err != nil {
		return ShortToken{}, err
	}
	change := &storage.Change{}
	t := s.addToken(change, c.UserNID, tokenLogin, loginTokenLife)
	return t, s.db.Commit(ctx, change)
}

// LoginByToken opens a session for whoever shows a log-in token, once. Spec: client-server-api/#post_matrixclientv3login
func (s *Service) LoginByToken(ctx context.Context, token string, q LoginRequest) (*Session, error) {
	d := deviceRequest{id: q.DeviceID, name: q.DeviceName, refresh: q.Refresh}
	if err := d.check(); err != nil {
		return nil, err
	}
	hash := hashToken(token)
	nid, err := s.db.FindPersonToken(ctx, hash[:], tokenLogin, s.nowMS())
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errLoginToken()
	}
	if err != nil {
		return nil, err
	}
	user, err := s.db.GetUser(ctx, nid)
	if err != nil {
		return nil, err
	}
	if err := mayLogin(user); err != nil {
		return nil, err
	}
	c := &storage.Change{}
	c.Guard(storage.UserStill(user.NID, user.Password).OrElse(errLoginToken()))
	c.Guard(storage.UsePersonToken(hash[:], tokenLogin, s.nowMS()).OrElse(errLoginToken()))
	out, err := s.openSession(ctx, c, user, d)
	if err != nil {
		return nil, err
	}
	return out, s.db.Commit(ctx, c)
}

func errLoginToken() *matrix.Error {
	return matrix.Forbidden("This log-in token is unknown, was used already, or is too old.")
}

// mayLogin refuses accounts that are closed or shut. Spec: client-server-api/#account-locking
func mayLogin(user storage.User) error {
	switch {
	case user.Is(storage.UserDeactivated):
		return matrix.UserDeactivated()
	case user.Is(storage.UserExpired):
		return errExpired()
	case user.Is(storage.UserLocked):
		return matrix.UserLocked()
	}
	return nil
}

func errExpired() *matrix.Error {
	e := matrix.UserLocked()
	e.Message = "This account has expired. Renew it by the link that was sent to you, or ask an administrator."
	e.MessageFR = "Ce compte a expiré. Renouvelez-le par le lien reçu, ou demandez à un administrateur."
	return e
}

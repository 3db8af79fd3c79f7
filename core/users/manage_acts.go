package users

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// keyWindow is how long somebody may replace his cross-signing keys without showing his password.
const keyWindow = 10 * time.Minute

// act commits a Change that an administrator asked for, with its record.
func (s *Service) act(ctx context.Context, c *storage.Change, admin matrix.Caller, user storage.User, act string, detail any) error {
	a := storage.Audit{Admin: string(admin.User), Act: act, Target: string(user.ID), Tenant: admin.Tenant}
	if detail != nil {
		var err error
		if a.Detail, err = json.Marshal(detail); err != nil {
			return err
		}
	}
	if err := s.audit(ctx, c, a); err != nil {
		return err
	}
	return s.db.Commit(ctx, c)
}

// ShadowBan lets what an account writes reach nobody, though it is answered as if it did; or takes that back.
func (s *Service) ShadowBan(ctx context.Context, admin matrix.Caller, id matrix.UserID, on bool) error {
	user, err := s.Managed(ctx, admin, id)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	set, unset, name := storage.UserShadowBanned, storage.UserFlag(0), "user.shadow-ban"
	if !on {
		set, unset, name = unset, set, "user.un-shadow-ban"
	}
	c.Guard(storage.UpdateUserFlags(user.NID, set, unset))
	c.Live(storage.Live{Kind: storage.KindSession, User: user.NID})
	c.Live(storage.Live{Kind: storage.KindShadow, User: user.NID})
	return s.act(ctx, c, admin, user, name, nil)
}

// OwnRate gives an account a rate limit of its own; perSecond 0 lifts all limits.
func (s *Service) OwnRate(ctx context.Context, admin matrix.Caller, id matrix.UserID, perSecond, burst int64) error {
	if perSecond < 0 || burst < 0 {
		return matrix.InvalidParam("messages_per_second and burst_count must be whole numbers, not below 0.")
	}
	user, err := s.Managed(ctx, admin, id)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	c.Add(&storage.RateOverrideRow{User: user.NID, PerSecond: perSecond, Burst: burst})
	c.Live(storage.Live{Kind: storage.KindSession, User: user.NID})
	return s.act(ctx, c, admin, user, "user.rate-limit", map[string]int64{"messages_per_second": perSecond, "burst_count": burst})
}

// UsualRate lets the usual rate limits hold for an account again.
func (s *Service) UsualRate(ctx context.Context, admin matrix.Caller, id matrix.UserID) error {
	user, err := s.Managed(ctx, admin, id)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	c.Guard(storage.DeleteRateOverride(user.NID))
	c.Live(storage.Live{Kind: storage.KindSession, User: user.NID})
	return s.act(ctx, c, admin, user, "user.rate-limit", map[string]any{})
}

// LoginAs opens a session of another user for an administrator, without a device, until an instant (0: for ever).
// It ends with the user's own sessions.
func (s *Service) LoginAs(ctx context.Context, admin matrix.Caller, id matrix.UserID, until int64) (string, error) {
	if id == admin.User {
		return "", matrix.InvalidParam("You cannot log in as yourself this way.")
	}
	user, err := s.Managed(ctx, admin, id)
	switch {
	case err != nil:
		return "", err
	case user.Is(storage.UserDeactivated):
		return "", matrix.UserDeactivated()
	case until != 0 && until <= s.nowMS():
		return "", matrix.InvalidParam("valid_until_ms lies in the past.")
	}
	nid, err := s.db.NewID(ctx, storage.SessionNIDs)
	if err != nil {
		return "", err
	}
	out := &Session{}
	row := &storage.SessionRow{Session: storage.Session{NID: nid, User: user.NID, Tenant: user.Tenant, Created: s.nowMS(),
		Expires: until, ClientID: "admin:" + string(admin.User)}}
	s.giveTokens(row, out, false)
	c := &storage.Change{}
	c.Add(row)
	return out.Token, s.act(ctx, c, admin, user, "user.login-as", map[string]int64{"valid_until_ms": until})
}

// OpenKeyWindow lets a user replace his cross-signing keys for some minutes without showing his password; it answers until when.
func (s *Service) OpenKeyWindow(ctx context.Context, admin matrix.Caller, id matrix.UserID) (int64, error) {
	user, err := s.Managed(ctx, admin, id)
	if err != nil {
		return 0, err
	}
	keys, err := s.db.ListCrossSigning(ctx, []int64{user.NID})
	if err != nil {
		return 0, err
	}
	if len(keys) == 0 {
		return 0, matrix.NotFound("User has no master cross-signing key")
	}
	ends := s.now().Add(keyWindow).UnixMilli()
	c := &storage.Change{}
	c.Add(&storage.KeyWindowRow{User: user.NID, Ends: ends})
	return ends, s.act(ctx, c, admin, user, "user.key-window", map[string]int64{"until": ends})
}

// InKeyWindow reports whether the caller may replace his cross-signing keys now without showing his password.
func (s *Service) InKeyWindow(ctx context.Context, c matrix.Caller) (bool, error) {
	return s.db.InKeyWindow(ctx, c.UserNID, s.nowMS())
}

// RenewUntil sets when an account ends; 0 gives it the usual term from now on.
func (s *Service) RenewUntil(ctx context.Context, admin matrix.Caller, id matrix.UserID, until int64) (int64, error) {
	user, err := s.Managed(ctx, admin, id)
	if err != nil {
		return 0, err
	}
	life := s.people.ValidFor
	if until != 0 {
		life = time.UnixMilli(until).Sub(s.now())
	}
	if until == 0 && life <= 0 {
		return 0, matrix.InvalidParam("Accounts of this server last for ever: say when this one ends by expiration_ts.")
	}
	c := &storage.Change{}
	detail := fmt.Appendf(nil, `{"until":%d}`, s.now().Add(life).UnixMilli())
	if err := s.audit(ctx, c, storage.Audit{Admin: string(admin.User), Act: "user.renew", Target: string(id), Tenant: user.Tenant, Detail: detail}); err != nil {
		return 0, err
	}
	if life <= 0 { // it has ended
		c.Add(&storage.AccountEndRow{User: user.NID, Ends: until})
		c.Guard(storage.UpdateUserFlags(user.NID, storage.UserExpired, 0))
		c.Live(storage.Live{Kind: storage.KindSession, User: user.NID})
		return until, s.db.Commit(ctx, c)
	}
	at, err := s.renew(ctx, c, user, life)
	return at.UnixMilli(), err
}

// PasswordBy sets a password for an administrator; other sessions end unless they are to be kept.
func (s *Service) PasswordBy(ctx context.Context, admin matrix.Caller, id matrix.UserID, password string, keep bool) error {
	if _, err := s.Managed(ctx, admin, id); err != nil {
		return err
	}
	user, err := s.open(ctx, id)
	if err != nil {
		return err
	}
	return s.changeManaged(ctx, admin, user, Account{Password: &password, KeepSessions: keep}, false)
}

// DeactivateBy closes an account of the administrator's organisation for ever.
func (s *Service) DeactivateBy(ctx context.Context, admin matrix.Caller, id matrix.UserID, erase bool) error {
	if _, err := s.Managed(ctx, admin, id); err != nil {
		return err
	}
	if id == admin.User {
		return matrix.Forbidden("You cannot do this to your own account.")
	}
	return s.deactivateAgain(ctx, string(admin.User), id, erase)
}

// deactivateAgain closes an account; one that is closed may still be erased.
func (s *Service) deactivateAgain(ctx context.Context, operator string, id matrix.UserID, erase bool) error {
	user, err := s.GetUser(ctx, id)
	if err != nil || !user.Is(storage.UserDeactivated) {
		return s.DeactivateByOperator(ctx, operator, id, erase)
	}
	if !erase || user.Is(storage.UserErased) {
		return nil
	}
	c := &storage.Change{}
	c.Guard(storage.UpdateUserFlags(user.NID, storage.UserErased, 0), storage.DeleteUserData(user.NID), storage.DeleteMissions(id))
	if err := s.audit(ctx, c, storage.Audit{Admin: operator, Act: "user.erase", Target: string(id), Tenant: user.Tenant}); err != nil {
		return err
	}
	return s.db.Commit(ctx, c)
}

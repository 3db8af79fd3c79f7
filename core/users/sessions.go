package users

import (
	"context"
	"errors"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Authenticate tells whose an access token is. A locked account may only log out, which the caller says.
// Spec: client-server-api/#using-access-tokens
func (s *Service) Authenticate(ctx context.Context, token string, from Seen, loggingOut bool) (matrix.Caller, error) {
	hash := hashToken(token)
	found, before := s.cache.find(hash)
	if found == nil {
		who := neighbourhood(from.IP)
		if err := s.strangers.check(who, s.now()); err != nil && !s.people.ManyFailures {
			return matrix.Caller{}, err
		}
		login, err := s.db.FindLogin(ctx, hash[:])
		if errors.Is(err, storage.ErrNotFound) {
			s.strangers.fail(who, s.now())
			return matrix.Caller{}, matrix.UnknownToken(false)
		}
		if err != nil {
			return matrix.Caller{}, err
		}
		if err := s.settle(ctx, login); err != nil {
			return matrix.Caller{}, err
		}
		found = &cached{hash: hash, caller: callerOf(login), flags: login.Flags, expires: login.Expires}
		s.cache.put(found, before)
	}
	now := s.nowMS()
	switch {
	case found.expires != 0 && found.expires <= now:
		return matrix.Caller{}, matrix.UnknownToken(true)
	case found.flags&storage.UserDeactivated != 0:
		return matrix.Caller{}, matrix.UnknownToken(false)
	case found.flags&storage.UserExpired != 0 && !loggingOut:
		return matrix.Caller{}, errExpired()
	case found.flags&storage.UserLocked != 0 && !loggingOut:
		return matrix.Caller{}, matrix.UserLocked()
	}
	s.seen.note(found.caller.Session, found.caller.UserNID, now, from)
	return found.caller, nil
}

func callerOf(l storage.Login) matrix.Caller {
	c := matrix.Caller{
		Tenant: l.Tenant, User: l.UserID, UserNID: l.User, Device: l.DeviceID, DeviceNID: l.Device, Session: l.NID,
		Server: l.UserID.Server(), Admin: l.Flags.Has(storage.UserAdmin), Guest: l.Flags.Has(storage.UserGuest),
		Suspended:    l.Flags.Has(storage.UserSuspended),
		ShadowBanned: l.Flags.Has(storage.UserShadowBanned),
		Scopes:       strings.Fields(l.Scopes), Unlimited: l.PerSecond == 0,
	}
	if l.PerSecond > 0 {
		c.PerSecond, c.Burst = l.PerSecond, max(l.Burst, 1)
	}
	return c
}

// Logout ends the caller's session and removes its device. Spec: client-server-api/#post_matrixclientv3logout
func (s *Service) Logout(ctx context.Context, c matrix.Caller) error {
	change := &storage.Change{}
	if c.DeviceNID == 0 {
		change.Guard(storage.DeleteSession(c.Session)...)
		change.Guard(storage.DeleteSessionPushers(c.UserNID, c.Session))
	} else {
		change.Guard(storage.DeleteDevice(c.UserNID, c.DeviceNID, c.Device)...)
		listChanged(change, c.UserNID)
	}
	change.Live(storage.Live{Kind: storage.KindSession, User: c.UserNID})
	err := s.db.Commit(ctx, change)
	if errors.Is(err, storage.ErrGuard) {
		return matrix.UnknownToken(false)
	}
	return err
}

// LogoutAll ends all sessions of the caller and removes all his devices, the dehydrated one too (MSC3814).
// Spec: client-server-api/#post_matrixclientv3logoutall
func (s *Service) LogoutAll(ctx context.Context, c matrix.Caller) error {
	change := &storage.Change{}
	change.Guard(storage.DeleteDehydrated(c.UserNID)...)
	return s.endSessions(ctx, c.UserNID, 0, change)
}

// endSessions removes the devices of a user, but one, with all sessions but those of that device, in a Change.
// Why the dehydrated device stays: it has no session, and who loses the phone and the password needs what it received.
func (s *Service) endSessions(ctx context.Context, user, keepDevice int64, change *storage.Change) error {
	change.Guard(storage.DeleteUserDevices(user, keepDevice)...)
	listChanged(change, user)
	change.Live(storage.Live{Kind: storage.KindSession, User: user})
	return s.db.Commit(ctx, change)
}

// listChanged tells everybody who shares a room with a user that his devices changed.
func listChanged(c *storage.Change, user int64) {
	live := c.Live(storage.Live{Kind: storage.KindDeviceList, User: user})
	c.Add(&storage.DeviceListRow{At: storage.At{Live: live + 1}, User: user})
}

// Session is what a successful log-in or registration gives.
type Session struct {
	UserID       matrix.UserID
	DeviceID     matrix.DeviceID
	Token        string
	RefreshToken string // "" unless asked for
	ExpiresIn    int64  // milliseconds; 0: never
}

// maxDeviceID bounds the name of a device in bytes; maxDeviceName that of its display name.
const (
	maxDeviceID   = 512
	maxDeviceName = 100
)

// deviceRequest says which device a session is for.
type deviceRequest struct {
	id      matrix.DeviceID // "" makes a new one
	name    string
	refresh bool
}

func (d *deviceRequest) check() error {
	if len(d.id) > maxDeviceID || strings.ContainsRune(string(d.id), 0) {
		return matrix.InvalidParam("The device_id is too long: at most 512 bytes.")
	}
	if r := []rune(d.name); len(r) > maxDeviceName {
		d.name = string(r[:maxDeviceName])
	}
	return nil
}

// openSession adds to a Change what makes a new session of a user. A device that exists is used again and its other
// sessions end. Spec: client-server-api/#relationship-between-access-tokens-and-devices
func (s *Service) openSession(ctx context.Context, c *storage.Change, user storage.User, d deviceRequest) (*Session, error) {
	fresh := d.id == ""
	if fresh {
		d.id = matrix.DeviceID(newDeviceID())
	} else {
		c.Guard(storage.DeleteDeviceSessions(user.NID, d.id)...)
		c.Live(storage.Live{Kind: storage.KindSession, User: user.NID})
	}
	deviceNID, err := s.db.NewID(ctx, storage.DeviceNIDs)
	if err != nil {
		return nil, err
	}
	nid, err := s.db.NewID(ctx, storage.SessionNIDs)
	if err != nil {
		return nil, err
	}
	out := &Session{UserID: user.ID, DeviceID: d.id}
	row := &storage.SessionRow{Session: storage.Session{NID: nid, User: user.NID, Tenant: user.Tenant, Created: s.nowMS()}}
	s.giveTokens(row, out, d.refresh)
	c.Guard(storage.InsertDevice(storage.Device{NID: deviceNID, User: user.NID, ID: d.id, DisplayName: d.name, Created: s.nowMS()}, &row.Device))
	c.Add(row)
	return out, nil
}

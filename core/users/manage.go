package users

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Account is what an administrator says of an account; nil fields stay as they are.
type Account struct {
	Password *string
	// KeepSessions lets sessions go on when the password changes.
	KeepSessions           bool
	DisplayName, AvatarURL *string
	// Type is "", "bot" or "support".
	Type                       *string
	Admin, Deactivated, Locked *bool
	Threepids                  *[]ThreepidOf
	ExternalIDs                *[]storage.ExternalID
}

// ExternalID is by which name another identity provider knows an account.
type ExternalID = storage.ExternalID

// ThreepidOf is an address that an administrator gives to an account.
type ThreepidOf struct{ Medium, Address string }

// Managed finds an account of the administrator's own organisation, closed or not: M_NOT_FOUND when there is none.
func (s *Service) Managed(ctx context.Context, admin matrix.Caller, id matrix.UserID) (storage.User, error) {
	if tenant, ours := s.tenants.byName[id.Server()]; !ours || tenant != admin.Tenant {
		return storage.User{}, matrix.InvalidParam("That user is not one of this server.")
	}
	user, err := s.db.FindUser(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return user, matrix.NotFound("User not found")
	}
	return user, err
}

// Manage makes an account, or changes the one that is there. created says which.
func (s *Service) Manage(ctx context.Context, admin matrix.Caller, id matrix.UserID, a Account) (created bool, err error) {
	if err := a.check(admin, id); err != nil {
		return false, err
	}
	user, err := s.Managed(ctx, admin, id)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		if user, err = s.makeManaged(ctx, admin, id, &a); err != nil {
			return false, err
		}
		created = true
	}
	if err != nil {
		return false, err
	}
	if a.Deactivated != nil && !*a.Deactivated && user.Is(storage.UserDeactivated) {
		user.Flags &^= storage.UserDeactivated | storage.UserErased
	} else if user.Is(storage.UserDeactivated) && a.Password != nil {
		return false, matrix.InvalidParam("This account is closed: open it again with \"deactivated\": false first.")
	}
	if err := s.changeManaged(ctx, admin, user, a, created); err != nil {
		return created, err
	}
	if a.Deactivated != nil && *a.Deactivated && !user.Is(storage.UserDeactivated) {
		return created, s.DeactivateByOperator(ctx, string(admin.User), id, false)
	}
	return created, nil
}

// check refuses what cannot be, whatever the account is.
//
//nolint:gocyclo // one mistake after the other
func (a *Account) check(admin matrix.Caller, id matrix.UserID) error {
	switch {
	case a.Admin != nil && !*a.Admin && id == admin.User:
		return matrix.InvalidParam("You may not demote yourself.")
	case id == admin.User && (a.Deactivated != nil && *a.Deactivated || a.Locked != nil && *a.Locked):
		return matrix.InvalidParam("You cannot do this to your own account.")
	case a.Type != nil && !slices.Contains([]string{"", "bot", "support"}, *a.Type):
		return matrix.InvalidParam("user_type must be null, bot or support.")
	case a.DisplayName != nil && len(*a.DisplayName) > maxDisplayName:
		return matrix.InvalidParam("The display name is too long: at most 256 bytes.")
	case a.AvatarURL != nil && len(*a.AvatarURL) > maxAvatarURL:
		return matrix.InvalidParam("The avatar's address is too long.")
	case a.AvatarURL != nil && *a.AvatarURL != "" && !strings.HasPrefix(*a.AvatarURL, "mxc://"):
		return matrix.InvalidParam("The avatar's address must be an mxc:// URI.")
	}
	if a.Threepids != nil {
		for _, t := range *a.Threepids {
			if t.Medium != mediumEmail && t.Medium != "msisdn" || t.Address == "" {
				return matrix.InvalidParam("Each of the threepids needs a medium, email or msisdn, and an address.")
			}
		}
	}
	if a.ExternalIDs != nil {
		for _, e := range *a.ExternalIDs {
			if e.Provider == "" || e.ID == "" {
				return matrix.MissingParam("Each of the external_ids needs auth_provider and external_id.")
			}
		}
	}
	return nil
}

// makeManaged makes an account, with a password or without. The rest of what is asked for comes as a change of it.
func (s *Service) makeManaged(ctx context.Context, admin matrix.Caller, id matrix.UserID, a *Account) (storage.User, error) {
	made, err := s.checkName(ctx, id.Localpart(), id.Server())
	if err != nil {
		return storage.User{}, err
	}
	if made != id {
		return storage.User{}, matrix.InvalidUsername("A user name may have no capitals.")
	}
	user := storage.User{Tenant: admin.Tenant, ID: id, Created: s.nowMS(), DisplayName: id.Localpart()}
	if user.NID, err = s.db.UserNID(ctx, id); err != nil {
		return user, err
	}
	if a.Password != nil {
		if err := s.newPassword(*a.Password, id); err != nil {
			return user, err
		}
		if user.Password, err = s.hasher.hash(ctx, *a.Password); err != nil {
			return user, err
		}
		a.Password = nil
	}
	c := &storage.Change{}
	c.Guard(storage.InsertUser(user).OrElse(errInUse()))
	if row := s.startsNow(user.NID); row != nil {
		c.Add(row)
	}
	if err := s.audit(ctx, c, storage.Audit{Admin: string(admin.User), Act: "user.create", Target: string(id), Tenant: user.Tenant}); err != nil {
		return user, err
	}
	return user, s.db.Commit(ctx, c)
}

// changeManaged changes an account as an administrator wishes, in one Change.
func (s *Service) changeManaged(ctx context.Context, admin matrix.Caller, user storage.User, a Account, created bool) error {
	c := &storage.Change{}
	var what []string
	for _, part := range []func(context.Context, *storage.Change, storage.User, *Account) (string, error){
		s.managePassword, s.manageProfile, s.manageFlags, s.manageNames,
	} {
		done, err := part(ctx, c, user, &a)
		if err != nil {
			return err
		}
		if done != "" {
			what = append(what, strings.Fields(done)...)
		}
	}
	if len(what) == 0 {
		return nil
	}
	detail, err := json.Marshal(map[string]any{"changed": what, "new": created})
	if err != nil {
		return err
	}
	if err := s.audit(ctx, c, storage.Audit{Admin: string(admin.User), Act: "user.modify", Target: string(user.ID), Tenant: user.Tenant, Detail: detail}); err != nil {
		return err
	}
	c.Live(storage.Live{Kind: storage.KindSession, User: user.NID})
	if err := s.db.Commit(ctx, c); err != nil {
		return err
	}
	s.wakePropagation()
	return nil
}

func (s *Service) managePassword(ctx context.Context, c *storage.Change, user storage.User, a *Account) (string, error) {
	if a.Password == nil {
		return "", nil
	}
	if err := s.newPassword(*a.Password, user.ID); err != nil {
		return "", err
	}
	text, err := s.hasher.hash(ctx, *a.Password)
	if err != nil {
		return "", err
	}
	c.Guard(storage.UpdatePassword(user.NID, text), storage.DeletePersonTokens(user.NID, tokenLogin), storage.DeletePersonTokens(user.NID, tokenActivate))
	if !a.KeepSessions {
		c.Guard(storage.DeleteUserDevices(user.NID, 0)...)
		listChanged(c, user.NID)
	}
	return "password", nil
}

func (s *Service) manageProfile(ctx context.Context, c *storage.Change, user storage.User, a *Account) (what string, err error) {
	if a.DisplayName != nil && *a.DisplayName != user.DisplayName {
		c.Guard(storage.UpdateDisplayName(user.NID, *a.DisplayName))
		what += " displayname"
	}
	if a.AvatarURL != nil && *a.AvatarURL != user.AvatarURL {
		c.Guard(storage.UpdateAvatarURL(user.NID, *a.AvatarURL))
		what += " avatar_url"
	}
	if what != "" {
		c.Live(storage.Live{Kind: storage.KindProfile, User: user.NID})
		err = s.addProfileJob(ctx, c, matrix.Caller{User: user.ID, UserNID: user.NID})
	}
	return what, err
}

func (s *Service) manageFlags(_ context.Context, c *storage.Change, user storage.User, a *Account) (what string, err error) {
	var set, unset storage.UserFlag
	for _, f := range []struct {
		want *bool
		flag storage.UserFlag
		name string
	}{{a.Admin, storage.UserAdmin, " admin"}, {a.Locked, storage.UserLocked, " locked"}} {
		switch {
		case f.want == nil || *f.want == user.Is(f.flag):
			continue
		case *f.want:
			set |= f.flag
		default:
			unset |= f.flag
		}
		what += f.name
	}
	if set|unset != 0 {
		c.Guard(storage.UpdateUserFlags(user.NID, set, unset))
	}
	if a.Deactivated != nil && !*a.Deactivated {
		c.Guard(storage.ReopenUser(user.NID))
		what += " deactivated"
	}
	if a.Type != nil {
		c.Guard(storage.UpdateUserType(user.NID, *a.Type))
		what += " user_type"
	}
	return what, nil
}

// manageNames gives an account its addresses, and the names by which other providers know it.
func (s *Service) manageNames(_ context.Context, c *storage.Change, user storage.User, a *Account) (what string, err error) {
	if a.Threepids != nil {
		c.Guard(storage.DeleteThreepids(user.NID))
		for _, t := range *a.Threepids {
			c.Guard(storage.InsertThreepid(storage.Threepid{Tenant: user.Tenant, Medium: t.Medium, Address: strings.ToLower(t.Address), User: user.NID,
				Validated: s.nowMS(), Added: s.nowMS()}).OrElse(errAddressInUse()))
		}
		what += " threepids"
	}
	if a.ExternalIDs != nil {
		c.Guard(storage.DeleteExternalIDs(user.NID))
		for _, e := range *a.ExternalIDs {
			c.Guard(storage.InsertExternalID(user.Tenant, user.NID, e).OrElse(matrix.Conflict("Another account has this external id.")))
		}
		what += " external_ids"
	}
	return what, nil
}

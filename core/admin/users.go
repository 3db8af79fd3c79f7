package admin

import (
	"context"
	"errors"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// UserFilter chooses accounts; nil fields do not choose.
type UserFilter struct {
	// ID is a part of the id; Name one of the localpart or display name, which counts alone when both are given.
	ID, Name                                               string
	Guests, Admins, Deactivated, Locked, Suspended, Shadow *bool
	NotTypes                                               []string
}

// Users lists the accounts of the administrator's organisation.
func (s *Service) Users(ctx context.Context, admin matrix.Caller, f UserFilter, p Page) ([]storage.ListedUser, int64, error) {
	q := storage.UserQuery{Tenant: admin.Tenant, Order: p.Order, Backward: p.Backward, Offset: p.From, Limit: p.Limit}
	if f.Name != "" {
		q.NameLike = escapeLike(f.Name)
	} else {
		q.IDLike = escapeLike(f.ID)
	}
	for _, c := range []struct {
		want *bool
		flag storage.UserFlag
	}{
		{f.Guests, storage.UserGuest}, {f.Admins, storage.UserAdmin}, {f.Deactivated, storage.UserDeactivated},
		{f.Locked, storage.UserLocked}, {f.Suspended, storage.UserSuspended}, {f.Shadow, storage.UserShadowBanned},
	} {
		if c.want == nil {
			continue
		}
		if q.Mask |= c.flag; *c.want {
			q.Want |= c.flag
		}
	}
	if len(f.NotTypes) > 0 {
		q.NotTypes = "," + strings.Join(f.NotTypes, ",") + ","
	}
	return s.DB.QueryUsers(ctx, q)
}

// escapeLike makes a text match itself in a LIKE pattern with the escape \, in lower case.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(s))
}

// Account is what an administrator sees of one account.
type Account struct {
	storage.User
	Type        string
	LastSeen    int64
	Threepids   []storage.Threepid
	ExternalIDs []storage.ExternalID
}

// Account reads one account.
func (s *Service) Account(ctx context.Context, admin matrix.Caller, id matrix.UserID) (a Account, err error) {
	if a.User, err = s.Accounts.Managed(ctx, admin, id); err != nil {
		return a, err
	}
	if a.Type, err = s.DB.GetUserType(ctx, a.NID); err != nil {
		return a, err
	}
	if a.LastSeen, err = s.DB.LastSeen(ctx, a.NID); err != nil {
		return a, err
	}
	if a.Threepids, err = s.DB.ListThreepids(ctx, a.NID); err != nil {
		return a, err
	}
	a.ExternalIDs, err = s.DB.ListExternalIDs(ctx, a.NID)
	return a, err
}

// ByThreepid is the account that has an address; M_NOT_FOUND when nobody has it.
func (s *Service) ByThreepid(ctx context.Context, admin matrix.Caller, medium, address string) (matrix.UserID, error) {
	t, err := s.DB.FindThreepid(ctx, admin.Tenant, medium, strings.ToLower(address))
	if errors.Is(err, storage.ErrNotFound) {
		return "", matrix.NotFound("User not found")
	}
	if err != nil {
		return "", err
	}
	return s.DB.GetUserID(ctx, t.User)
}

// ByExternalID is the account that a provider knows by a name; M_NOT_FOUND when there is none.
func (s *Service) ByExternalID(ctx context.Context, admin matrix.Caller, provider, id string) (matrix.UserID, error) {
	user, err := s.DB.FindExternalID(ctx, admin.Tenant, storage.ExternalID{Provider: provider, ID: id})
	if errors.Is(err, storage.ErrNotFound) {
		err = matrix.NotFound("User not found")
	}
	return user, err
}

// Memberships are all rooms that a user ever had to do with, as far as this installation knows, and how he stands to them.
func (s *Service) Memberships(ctx context.Context, id matrix.UserID) (map[matrix.RoomID]string, error) {
	out := map[matrix.RoomID]string{}
	nid, err := s.DB.FindUserNID(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for m, name := range map[storage.Membership]string{storage.MemberJoin: "join", storage.MemberInvite: "invite",
		storage.MemberKnock: "knock", storage.MemberLeave: "leave", storage.MemberBan: "ban"} {
		ids, err := s.DB.ListRoomIDsOf(ctx, nid, m)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			out[id] = name
		}
	}
	return out, nil
}

// JoinedRooms are the rooms that a user, of this server or another, is a member of.
func (s *Service) JoinedRooms(ctx context.Context, id matrix.UserID) ([]matrix.RoomID, error) {
	nid, err := s.DB.FindUserNID(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return []matrix.RoomID{}, nil
	}
	if err != nil {
		return nil, err
	}
	return s.DB.ListRoomIDsOf(ctx, nid, storage.MemberJoin)
}

// Data is what a user has stored, by type: globally, and for each room.
type Data struct {
	Global map[string][]byte
	Rooms  map[matrix.RoomID]map[string][]byte
}

// AccountData reads all that a user has stored.
func (s *Service) AccountData(ctx context.Context, admin matrix.Caller, id matrix.UserID) (*Data, error) {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return nil, err
	}
	if err := s.Note(ctx, admin, "user.read-account-data", string(id), nil); err != nil {
		return nil, err
	}
	list, err := s.DB.ListAccountData(ctx, user.NID, 0, 1<<62)
	if err != nil {
		return nil, err
	}
	out := &Data{Global: map[string][]byte{}, Rooms: map[matrix.RoomID]map[string][]byte{}}
	for _, d := range list {
		if d.Room == 0 {
			out.Global[d.Type] = d.Content
			continue
		}
		r, err := s.Graph.RoomByNID(ctx, d.Room)
		if matrix.HasCode(err, matrix.CodeNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if out.Rooms[r.ID()] == nil {
			out.Rooms[r.ID()] = map[string][]byte{}
		}
		out.Rooms[r.ID()][d.Type] = d.Content
	}
	return out, nil
}

// SentInvites counts the invitations that a user has sent since a time.
func (s *Service) SentInvites(ctx context.Context, admin matrix.Caller, id matrix.UserID, since int64) (int64, error) {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return 0, err
	}
	return s.DB.CountSentInvites(ctx, user.NID, since)
}

// RoomsJoined counts the rooms that a user has joined since a time.
func (s *Service) RoomsJoined(ctx context.Context, admin matrix.Caller, id matrix.UserID, since int64) (int64, error) {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return 0, err
	}
	return s.DB.CountRoomsJoined(ctx, user.NID, since)
}

// OwnRate is a user's own rate limit; nil when he has none.
func (s *Service) OwnRate(ctx context.Context, admin matrix.Caller, id matrix.UserID) (*storage.RateOverrideRow, error) {
	user, err := s.Accounts.Managed(ctx, admin, id)
	if err != nil {
		return nil, err
	}
	r, err := s.DB.FindRateOverride(ctx, user.NID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return &r, err
}

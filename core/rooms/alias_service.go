package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// ResolveAlias is the room behind one of our aliases. Spec: client-server-api/#get_matrixclientv3directoryroomroomalias
func (s *Service) ResolveAlias(ctx context.Context, alias matrix.RoomAlias) (*Room, error) {
	r, err := s.aliased(ctx, alias)
	if !isNotFound(err) || s.opts.Asked == nil {
		return r, err
	}
	// Spec: application-service-api/#querying
	if made, asked := s.opts.Asked.MakeAlias(ctx, alias); !made || asked != nil {
		return nil, errors.Join(asked, err)
	}
	return s.aliased(ctx, alias)
}

// aliased is the room that an alias of ours leads to now.
func (s *Service) aliased(ctx context.Context, alias matrix.RoomAlias) (*Room, error) {
	a, err := s.db.FindAlias(ctx, alias)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, matrix.NotFound(fmt.Sprintf("There is no room with the alias %s.", alias))
	}
	if err != nil {
		return nil, err
	}
	return s.RoomByNID(ctx, a.Room)
}

// CreateAlias gives a room a further name on one of our servers.
func (s *Service) CreateAlias(ctx context.Context, c matrix.Caller, alias matrix.RoomAlias, id matrix.RoomID) error {
	if err := s.checkOwnAlias(c, alias); err != nil {
		return err
	}
	if err := s.mayName(c, alias); err != nil {
		return err
	}
	room, err := s.Room(ctx, id)
	if err != nil && !isNotFound(err) {
		return err
	}
	// Why members only: a name given by a stranger would tell him that the room exists, and mislead others.
	if err != nil || !s.isMember(ctx, room, c) {
		return matrix.Forbidden("You are not in this room, or it does not exist.")
	}
	change := &storage.Change{}
	change.Guard(storage.InsertAlias(storage.Alias{Alias: alias, Room: room.NID(), Creator: c.UserNID, Tenant: c.Tenant}).
		OrElse(matrix.Conflict(fmt.Sprintf("The alias %s is taken.", alias))))
	s.renames(change, room.NID(), alias)
	return s.db.Commit(ctx, change)
}

func (s *Service) checkOwnAlias(c matrix.Caller, alias matrix.RoomAlias) error {
	parsed, err := matrix.ParseRoomAlias(string(alias))
	if err != nil {
		return err
	}
	if parsed.Server() != c.User.Server() {
		return matrix.InvalidParam("An alias is made on the server that it names.")
	}
	return nil
}

// DeleteAlias gives an alias up: its maker may, and whoever may set the room's canonical alias, and administrators.
// Spec: client-server-api/#delete_matrixclientv3directoryroomroomalias
func (s *Service) DeleteAlias(ctx context.Context, c matrix.Caller, alias matrix.RoomAlias) error {
	a, err := s.db.FindAlias(ctx, alias)
	if errors.Is(err, storage.ErrNotFound) {
		return matrix.NotFound(fmt.Sprintf("There is no room with the alias %s.", alias))
	}
	if err != nil {
		return err
	}
	room, err := s.RoomByNID(ctx, a.Room)
	if err != nil {
		return err
	}
	if err := s.mayName(c, alias); err != nil && !c.Admin {
		return err
	}
	if a.Creator != c.UserNID && !c.Admin && c.Appservice == "" {
		if ok, err := s.maySend(ctx, room, c.User, "m.room.canonical_alias"); err != nil || !ok {
			return errors.Join(err, forbidUnless(err != nil, "You may not take this alias away from its room."))
		}
	}
	change := &storage.Change{}
	change.Guard(storage.DeleteAlias(alias).OrElse(matrix.NotFound("The alias is gone already.")))
	s.renames(change, room.NID(), alias)
	if err := s.db.Commit(ctx, change); err != nil {
		return err
	}
	return s.dropCanonicalAlias(ctx, room, c.User, alias)
}

// isMember reports whether the caller may speak for a room: its members and administrators may.
func (s *Service) isMember(ctx context.Context, room *Room, c matrix.Caller) bool {
	m, err := s.standingOf(ctx, room, c.User)
	return c.Admin || err == nil && m.Membership == storage.MemberJoin
}

func forbidUnless(failed bool, msg string) error {
	if failed {
		return nil
	}
	return matrix.Forbidden(msg)
}

// maySend reports whether the user is joined and has the power to send a state event of the type.
func (s *Service) maySend(ctx context.Context, room *Room, user matrix.UserID, typ string) (bool, error) {
	view, err := s.Current(ctx, room)
	if err != nil {
		return false, err
	}
	key := ""
	auth, err := view.AuthState(ctx, user, typ, &key, nil)
	if err != nil {
		return false, err
	}
	m, err := view.Membership(ctx, user)
	return m == "join" && authrules.PowerLevelOf(auth, user) >= authrules.RequiredPower(auth, typ, true), err
}

// canonicalAlias is the content of m.room.canonical_alias, with whatever else stands in it.
type canonicalAlias struct {
	Alias matrix.RoomAlias   `json:"alias,omitempty"`
	Alt   []matrix.RoomAlias `json:"alt_aliases,omitempty"`
}

// dropCanonicalAlias takes a deleted alias out of m.room.canonical_alias, where the user has the power for that.
func (s *Service) dropCanonicalAlias(ctx context.Context, room *Room, user matrix.UserID, alias matrix.RoomAlias) error {
	_, err := s.Compose(ctx, room, func(v *View) ([]Draft, error) {
		now, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.canonical_alias"})
		if err != nil || now == nil {
			return nil, err
		}
		var c canonicalAlias
		if matrix.Decode(now.Content, &c) != nil || c.Alias != alias && !slices.Contains(c.Alt, alias) {
			return nil, nil
		}
		if c.Alias == alias {
			c.Alias = ""
		}
		c.Alt = slices.DeleteFunc(c.Alt, func(a matrix.RoomAlias) bool { return a == alias })
		raw, err := json.Marshal(c)
		key := ""
		return []Draft{{Sender: user, Type: "m.room.canonical_alias", StateKey: &key, Content: raw}}, err
	})
	var refused *matrix.Error
	if errors.As(err, &refused) && refused.Code == matrix.CodeForbidden {
		return nil // the alias is gone all the same
	}
	return err
}

// checkCanonicalAlias refuses names that do not lead to the room; names that stood there before may stay.
// Spec: client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey M_BAD_ALIAS
func (s *Service) checkCanonicalAlias(ctx context.Context, q SendRequest) error {
	var c, old canonicalAlias
	if err := matrix.Decode(q.Content, &c); err != nil {
		return matrix.BadJSON("alias must be text, alt_aliases a list of text.")
	}
	view, err := s.Current(ctx, q.Room)
	if err != nil {
		return err
	}
	if now, err := view.Get(ctx, matrix.StateTuple{Type: q.Type}); err != nil {
		return err
	} else if now != nil {
		_ = matrix.Decode(now.Content, &old) // unreadable old content protects nothing
	}
	asked := c.Alt
	if c.Alias != "" {
		asked = append(asked, c.Alias)
	}
	for _, a := range asked {
		if a == old.Alias || slices.Contains(old.Alt, a) {
			continue
		}
		if _, err := matrix.ParseRoomAlias(string(a)); err != nil {
			return matrix.InvalidParam(fmt.Sprintf("%q is not a room alias.", a))
		}
		room, err := s.aliased(ctx, a)
		if isNotFound(err) || err == nil && room.NID() != q.Room.NID() {
			return matrix.BadAlias(fmt.Sprintf("The alias %s does not lead to this room.", a))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Aliases lists the room's aliases on our servers, to members and to everyone where history is world readable.
func (s *Service) Aliases(ctx context.Context, room *Room, user matrix.UserID) ([]matrix.RoomAlias, error) {
	m, err := s.standingOf(ctx, room, user)
	if err != nil {
		return nil, err
	}
	if m.Membership != storage.MemberJoin {
		view, err := s.Current(ctx, room)
		if err != nil {
			return nil, err
		}
		if open, err := s.canPeek(ctx, view, user); err != nil || !open {
			return nil, errors.Join(err, forbidUnless(err != nil, "You are not in this room."))
		}
	}
	return s.db.ListAliases(ctx, room.NID())
}

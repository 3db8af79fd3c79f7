package admin

import (
	"context"
	"errors"
	"strings"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Named finds a room by its id or by an alias of ours.
func (s *Service) Named(ctx context.Context, admin matrix.Caller, name string) (*rooms.Room, error) {
	if strings.HasPrefix(name, "#") {
		alias, err := matrix.ParseRoomAlias(name)
		if err != nil {
			return nil, err
		}
		r, err := s.Graph.ResolveAlias(ctx, alias)
		if err != nil {
			return nil, err
		}
		return s.Room(ctx, admin, r.ID())
	}
	id, err := matrix.ParseRoomID(name)
	if err != nil {
		return nil, err
	}
	return s.Room(ctx, admin, id)
}

// Block keeps everybody of this server from entering a room, known here or not, or opens it again.
func (s *Service) Block(ctx context.Context, admin matrix.Caller, id matrix.RoomID, on bool) error {
	if _, err := s.ownRoom(ctx, admin, id); err != nil && !matrix.HasCode(err, matrix.CodeNotFound) {
		return err
	}
	c := &storage.Change{}
	if on {
		c.Add(&storage.BlockedRoomRow{BlockedRoom: storage.BlockedRoom{Room: id, Admin: string(admin.User), TS: s.nowMS()}})
		return s.act(ctx, c, admin, "room.block", string(id), nil)
	}
	if by, err := s.BlockedBy(ctx, id); err != nil {
		return err
	} else if _, err := s.Accounts.Managed(ctx, admin, matrix.UserID(by)); by != "" && s.sees(admin) != 0 && err != nil {
		return matrix.Forbidden("Another organisation of this installation has blocked this room.").
			French("Ce salon a été bloqué par un autre organisme de cette installation.")
	}
	c.Guard(storage.DeleteBlockedRoom(id))
	return s.act(ctx, c, admin, "room.unblock", string(id), nil)
}

// BlockedBy is who blocked a room; "" when nobody did.
func (s *Service) BlockedBy(ctx context.Context, id matrix.RoomID) (string, error) {
	b, err := s.DB.FindBlockedRoom(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	return b.Admin, err
}

// Join makes a user of this server enter a room, if need be by an invitation of the administrator, who then must be in it. The
// room may be one that only others are in.
func (s *Service) Join(ctx context.Context, admin matrix.Caller, name string, user matrix.UserID, via []matrix.ServerName) (matrix.RoomID, error) {
	if _, err := s.Accounts.Managed(ctx, admin, user); err != nil {
		return "", err
	}
	id, err := matrix.ParseRoomID(name)
	if strings.HasPrefix(name, "#") {
		alias, wrong := matrix.ParseRoomAlias(name)
		if wrong != nil {
			return "", wrong
		}
		var known []matrix.ServerName
		id, known, err = s.Graph.FindAlias(ctx, user.Server(), alias)
		via = append(via, known...)
	}
	if err != nil {
		return "", err
	}
	if err := s.Note(ctx, admin, "room.join-user", string(id), map[string]any{"user": user}); err != nil {
		return "", err
	}
	e := rooms.Entry{Room: id, User: user, Via: via}
	err = s.Graph.JoinVia(ctx, e)
	if !matrix.HasCode(err, matrix.CodeForbidden) {
		return id, err
	}
	r, unknown := s.Graph.Room(ctx, id)
	if unknown != nil {
		return "", err
	}
	if by, blocked := s.BlockedBy(ctx, id); blocked != nil || by != "" {
		return "", errors.Join(err, blocked)
	}
	if err := s.Graph.Invite(ctx, rooms.MembershipChange{Room: r, Sender: admin.User, Target: user}); err != nil {
		return "", err
	}
	return id, s.Graph.JoinVia(ctx, e)
}

// Empower makes a user, by default the administrator himself, an administrator of a room.
func (s *Service) Empower(ctx context.Context, admin matrix.Caller, name string, user matrix.UserID) error {
	r, err := s.Named(ctx, admin, name)
	if err != nil {
		return err
	}
	if user == "" {
		user = admin.User
	}
	if _, err := matrix.ParseUserID(string(user)); err != nil {
		return err
	}
	if err := s.Note(ctx, admin, "room.empower", string(r.ID()), map[string]any{"user": user}); err != nil {
		return err
	}
	return s.Graph.Empower(ctx, r, admin.Server, user)
}

// JoinExtremities leaves a room one event that nothing refers to, and tells how many went.
func (s *Service) JoinExtremities(ctx context.Context, admin matrix.Caller, name string) (int, error) {
	r, err := s.Named(ctx, admin, name)
	if err != nil {
		return 0, err
	}
	if err := s.Note(ctx, admin, "room.join-extremities", string(r.ID()), nil); err != nil {
		return 0, err
	}
	return s.Graph.JoinHeads(ctx, r)
}

// Read finds a room to read in it what the administrator could not see as a user, and records that he did.
func (s *Service) Read(ctx context.Context, admin matrix.Caller, id matrix.RoomID, what string) (*rooms.Room, error) {
	r, err := s.Room(ctx, admin, id)
	if err != nil {
		return nil, err
	}
	return r, s.Note(ctx, admin, "room.read", string(id), map[string]any{"what": what})
}

// FetchEvent reads an event by its id, whatever room it is in.
func (s *Service) FetchEvent(ctx context.Context, admin matrix.Caller, id matrix.EventID) (*rooms.Stored, *rooms.Room, error) {
	in, err := s.DB.ListRoomsOfEvent(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	for _, nid := range in {
		r, err := s.Graph.RoomByNID(ctx, nid)
		if err != nil {
			continue
		}
		if r, err = s.Read(ctx, admin, r.ID(), "event "+string(id)); err != nil {
			continue
		}
		e, err := s.Graph.EventByID(ctx, r, id)
		return e, r, err
	}
	return nil, nil, matrix.NotFound("Event not found")
}

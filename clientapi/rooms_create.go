package clientapi

import (
	"context"
	"strings"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// roomCreation adds the routes by which rooms and their aliases are made.
func roomCreation(r *httpx.Router, d Deps) {
	s := d.Rooms
	user := httpx.Route{Access: httpx.User, R0: true}
	httpx.Handle(r, "POST", "/_matrix/client/v3/createRoom", writing(named(user, "createRoom")),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, q rooms.CreateRequest) (roomIDAnswer, error) {
			invited, err := d.addressesIn(ctx, &q)
			if err != nil {
				return roomIDAnswer{}, err
			}
			room, err := s.Create(ctx, c, &q)
			if err != nil {
				return roomIDAnswer{}, err
			}
			for _, a := range invited {
				if err := s.InviteAddress(ctx, d.Identity, room, c.User, a); err != nil {
					return roomIDAnswer{}, err
				}
			}
			return roomIDAnswer{room.ID()}, d.inherit(ctx, c, room)
		})
	httpx.Handle(r, "GET", "/_matrix/client/v3/directory/room/{roomAlias}", httpx.Route{Access: httpx.Optional, R0: true, Spec: "getRoomIdByAlias"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (aliasAnswer, error) {
			alias, err := matrix.ParseRoomAlias(p.Var("roomAlias"))
			if err != nil {
				return aliasAnswer{}, err
			}
			if c.User == "" {
				// Why not FindAlias: a stranger must not make this server ask others.
				room, err := s.ResolveAlias(ctx, alias)
				if err != nil {
					return aliasAnswer{}, err
				}
				return aliasAnswer{room.ID(), []matrix.ServerName{alias.Server()}}, nil
			}
			id, servers, err := s.FindAlias(ctx, c.User.Server(), alias)
			return aliasAnswer{id, servers}, err
		})
	httpx.Handle(r, "PUT", "/_matrix/client/v3/directory/room/{roomAlias}", writing(named(user, "setRoomAlias")),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in roomIDAnswer) (httpx.Empty, error) {
			if in.RoomID == "" {
				return httpx.Empty{}, matrix.MissingParam("room_id says which room gets the alias.")
			}
			return httpx.Empty{}, s.CreateAlias(ctx, c, matrix.RoomAlias(p.Var("roomAlias")), in.RoomID)
		})
	httpx.Handle(r, "DELETE", "/_matrix/client/v3/directory/room/{roomAlias}", named(user, "deleteRoomAlias"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, s.DeleteAlias(ctx, c, matrix.RoomAlias(p.Var("roomAlias")))
		})
	roomRoute(r, s, "GET", "/_matrix/client/v3/rooms/{roomID}/aliases", named(user, "getLocalAliases"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			list, err := s.Aliases(ctx, room, c.User)
			return map[string]any{"aliases": list}, err
		})
}

// maxAddresses bounds how many people are invited into a new room by address.
const maxAddresses = 20

// addressesIn takes the invitations by address out of a request, where there is an identity server to ask.
// Why it is asked before the room is made: what it refuses must not leave a room without its guests.
func (d Deps) addressesIn(ctx context.Context, q *rooms.CreateRequest) ([]rooms.AddressInvite, error) {
	if d.Identity == nil || len(q.Invite3PID) == 0 {
		return nil, nil // the core says that there is none
	}
	if len(q.Invite3PID) > maxAddresses {
		return nil, matrix.InvalidParam("Too many invitations by address.")
	}
	out := make([]rooms.AddressInvite, len(q.Invite3PID))
	for i, raw := range q.Invite3PID {
		a := &out[i]
		if err := matrix.Decode(raw, a); err != nil {
			return nil, matrix.BadJSON("invite_3pid must be a list of invitations by address.")
		}
		if err := a.Check(d.Identity); err != nil {
			return nil, err
		}
		if _, err := d.Identity.Lookup(ctx, a.Token, a.Medium, strings.ToLower(a.Address)); err != nil {
			return nil, err
		}
	}
	q.Invite3PID = nil
	return out, nil
}

// roomDirectory adds the routes of the public room list.
func roomDirectory(r *httpx.Router, s *rooms.Service) {
	httpx.Handle(r, "GET", "/_matrix/client/v3/publicRooms", httpx.Route{Access: httpx.Optional, R0: true, Spec: "getPublicRooms"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*rooms.DirectoryPage, error) {
			limit, err := p.QueryInt("limit", 0)
			if err != nil {
				return nil, err
			}
			return s.Directory(ctx, rooms.DirectoryRequest{
				Limit: limit, Since: p.Query().Get("since"), Server: matrix.ServerName(p.Query().Get("server")), Asker: c.Server,
			})
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/publicRooms", httpx.Route{Access: httpx.UserOrGuest, R0: true, Spec: "queryPublicRooms"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, q rooms.DirectoryRequest) (*rooms.DirectoryPage, error) {
			q.Server, q.Asker = matrix.ServerName(p.Query().Get("server")), c.Server
			return s.Directory(ctx, q)
		})
	roomRoute(r, s, "GET", "/_matrix/client/v3/directory/list/room/{roomID}", httpx.Route{R0: true, Spec: "getRoomVisibilityOnDirectory"},
		func(ctx context.Context, _ matrix.Caller, room *rooms.Room, _ httpx.Path, _ httpx.Empty) (visibility, error) {
			public, err := s.IsPublished(ctx, room)
			return visibilityOf(public), err
		})
	httpx.Handle(r, "PUT", "/_matrix/client/v3/directory/list/room/{roomID}", httpx.Route{Access: httpx.User, R0: true, Spec: "setRoomVisibilityOnDirectory"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in visibility) (httpx.Empty, error) {
			room, err := roomNamed(ctx, s, p.Var("roomID"))
			if err != nil {
				return httpx.Empty{}, err
			}
			if in.Visibility != "" && in.Visibility != "public" && in.Visibility != "private" {
				return httpx.Empty{}, matrix.InvalidParam("visibility must be public or private.")
			}
			return httpx.Empty{}, s.SetDirectoryVisibility(ctx, c, room, in.Visibility != "private")
		})
}

type (
	roomIDAnswer struct {
		RoomID matrix.RoomID `json:"room_id"`
	}
	aliasAnswer struct {
		RoomID  matrix.RoomID       `json:"room_id"`
		Servers []matrix.ServerName `json:"servers"`
	}
	visibility struct {
		Visibility string `json:"visibility"`
	}
	eventIDAnswer struct {
		EventID matrix.EventID `json:"event_id"`
	}
)

func visibilityOf(public bool) visibility {
	if public {
		return visibility{"public"}
	}
	return visibility{"private"}
}

// named gives a route the operation id that it serves.
func named(r httpx.Route, operation string) httpx.Route {
	r.Spec = operation
	return r
}

// roomRoute declares a route whose path names a room that must exist.
func roomRoute[In, Out any](r *httpx.Router, s *rooms.Service, method, pattern string, opt httpx.Route,
	fn func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, in In) (Out, error),
) {
	httpx.Handle(r, method, pattern, opt, func(ctx context.Context, c matrix.Caller, p httpx.Path, in In) (Out, error) {
		var none Out
		id, err := p.RoomID()
		if err != nil {
			return none, err
		}
		room, err := s.Room(ctx, id)
		if isCode(err, matrix.CodeNotFound) && p.Var("eventID") != "" {
			return none, matrix.NotFound("There is no such event, or you may not see it.")
		}
		if err != nil {
			return none, hideRoom(c, err)
		}
		return fn(ctx, c, room, p, in)
	})
}

// hideRoom answers those who ask for a room that does not exist as those who may not see it.
func hideRoom(c matrix.Caller, err error) error {
	if c.User != "" && !c.Admin && isCode(err, matrix.CodeNotFound) {
		return matrix.Forbidden("You are not in this room, or it does not exist.")
	}
	return err
}

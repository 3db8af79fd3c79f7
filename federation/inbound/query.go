package inbound

import (
	"context"

	"rempart/core/rooms"
	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type aliasAnswer struct {
	RoomID  matrix.RoomID       `json:"room_id"`
	Servers []matrix.ServerName `json:"servers"`
}

// maxAliasServers bounds how many servers an alias' answer names.
const maxAliasServers = 50

// queryRoutes answers about our users and aliases. Spec: server-server-api/#querying-for-information
func queryRoutes(r *httpx.Router, d Deps) {
	httpx.Handle(r, "GET", "/_matrix/federation/v1/query/profile", signed("queryProfile"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (users.Profile, error) {
			user, err := matrix.ParseUserID(p.Query().Get("user_id"))
			if err != nil {
				return nil, err
			}
			if user.Server() != c.Destination {
				return nil, matrix.NotFound("This server knows no profile of that user.")
			}
			field := p.Query().Get("field")
			if field == "" {
				return d.Users.GetProfile(ctx, user)
			}
			value, err := d.Users.GetProfileField(ctx, user, field)
			if err != nil {
				return nil, err
			}
			return users.Profile{field: value}, nil
		})
	httpx.Handle(r, "GET", "/_matrix/federation/v1/query/directory", signed("queryRoomDirectory"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (a aliasAnswer, err error) {
			alias, err := matrix.ParseRoomAlias(p.Query().Get("room_alias"))
			if err != nil {
				return a, err
			}
			if alias.Server() != c.Destination {
				return a, matrix.NotFound("The alias is not one of this server.")
			}
			room, err := d.Rooms.ResolveAlias(ctx, alias)
			if err != nil {
				return a, err
			}
			servers := append([]matrix.ServerName{c.Destination}, d.Rooms.ServersIn(ctx, room, maxAliasServers)...)
			return aliasAnswer{room.ID(), servers}, nil
		})
	httpx.Handle(r, "GET", "/_matrix/federation/v1/query/{queryType}", signed("queryInfo"),
		func(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (a httpx.Empty, err error) {
			return a, matrix.Unrecognized()
		})
}

// directoryRoutes lists our published rooms and describes spaces.
// Spec: server-server-api/#published-room-directory and #spaces
func directoryRoutes(r *httpx.Router, s *rooms.Service) {
	httpx.Handle(r, "GET", "/_matrix/federation/v1/publicRooms", signed("getPublicRooms"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*rooms.DirectoryPage, error) {
			limit, err := p.QueryInt("limit", 0)
			if err != nil {
				return nil, err
			}
			return s.Directory(ctx, rooms.DirectoryRequest{Limit: limit, Since: p.Query().Get("since"), Server: c.Destination})
		})
	httpx.Handle(r, "POST", "/_matrix/federation/v1/publicRooms", signed("queryPublicRooms"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, q rooms.DirectoryRequest) (*rooms.DirectoryPage, error) {
			q.Server = c.Destination
			return s.Directory(ctx, q)
		})
	httpx.Handle(r, "GET", "/_matrix/federation/v1/hierarchy/{roomID}", signed("getSpaceHierarchy"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*rooms.ServedSpace, error) {
			room, err := p.RoomID()
			if err != nil {
				return nil, err
			}
			suggested, err := p.QueryBool("suggested_only", false)
			if err != nil {
				return nil, err
			}
			return s.ServeHierarchy(ctx, c.Server, c.Destination, room, suggested)
		})
}

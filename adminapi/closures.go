package adminapi

import (
	"context"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// expulsion asks to remove all members of a server from a room.
type expulsion struct {
	Server matrix.ServerName `json:"server"`
	Ban    bool              `json:"ban"`
}

// closureRoutes adds what is asked, and done, about rooms in which there is what the policy does not want. Administrators see those of
// their own organisation.
func closureRoutes(r *httpx.Router, d Deps) {
	route := httpx.Route{Access: httpx.Admin}
	httpx.Handle(r, "GET", ownPrefix+"/closures", route,
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (map[string][]rooms.Found, error) {
			list, err := d.Policy.Closures(ctx, c.Server)
			return map[string][]rooms.Found{"closures": list}, err
		})
	httpx.Handle(r, "GET", ownPrefix+"/rooms/{roomID}/closure", route,
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (rooms.Closure, error) {
			room, err := closureRoom(ctx, c, p, d)
			if err != nil {
				return rooms.Closure{}, err
			}
			return d.Rooms.Closure(ctx, room, c.Server)
		})
	httpx.Handle(r, "POST", ownPrefix+"/rooms/{roomID}/closure/expel", route,
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in expulsion) (map[string]int, error) {
			room, err := closureRoom(ctx, c, p, d)
			if err != nil {
				return nil, err
			}
			if _, err := matrix.ParseServerName(string(in.Server)); err != nil {
				return nil, err
			}
			if err := d.Admin.Note(ctx, c, "room.expel", string(room.ID()), in); err != nil {
				return nil, err
			}
			n, err := d.Rooms.Expel(ctx, room, c.Server, in.Server, in.Ban)
			return map[string]int{"removed": n}, err
		})
}

func closureRoom(ctx context.Context, c matrix.Caller, p httpx.Path, d Deps) (*rooms.Room, error) {
	id, err := p.RoomID()
	if err != nil {
		return nil, err
	}
	return d.Admin.Room(ctx, c, id)
}

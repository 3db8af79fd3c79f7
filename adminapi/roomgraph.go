package adminapi

import (
	"context"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// roomPrefix is where the routes about the graphs of rooms are; no other server has them.
const roomPrefix = "/_rempart/admin/v1/rooms/{roomID}"

// roomGraphRoutes adds what operators see of a room's graph, and the repair of its state.
func roomGraphRoutes(r *httpx.Router, d Deps) {
	httpx.Handle(r, "GET", roomPrefix+"/condition", httpx.Route{Access: httpx.Admin},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*rooms.Condition, error) {
			id, err := p.RoomID()
			if err != nil {
				return nil, err
			}
			return d.Admin.Condition(ctx, c, id)
		})
	type repair struct {
		Servers []matrix.ServerName `json:"servers"`
		Alone   bool                `json:"alone"`
		Adopt   bool                `json:"adopt"`
	}
	httpx.Handle(r, "POST", roomPrefix+"/repair", httpx.Route{Access: httpx.Admin},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in repair) (*rooms.Repair, error) {
			id, err := p.RoomID()
			if err != nil {
				return nil, err
			}
			return d.Admin.RepairRoom(ctx, c, id, rooms.RepairRequest{Alone: in.Alone, Servers: in.Servers, Adopt: in.Adopt})
		})
}

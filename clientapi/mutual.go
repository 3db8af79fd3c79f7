package clientapi

import (
	"context"
	"strconv"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type mutualRooms struct {
	Joined []matrix.RoomID `json:"joined"`
	Count  int64           `json:"count"`
	Next   string          `json:"next_batch,omitempty"`
}

// mutualRoutes adds the list of rooms that one shares with somebody. Spec: client-server-api/#mutual-rooms
func mutualRoutes(r *httpx.Router, d Deps) {
	route := httpx.Route{Access: httpx.User, Spec: "getMutualRooms", Class: "search",
		Unstable: []string{"/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"}}
	httpx.Handle(r, "GET", "/_matrix/client/v1/mutual_rooms", route,
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*mutualRooms, error) {
			other, err := matrix.ParseUserID(p.Query().Get("user_id"))
			if err != nil {
				return nil, matrix.InvalidParam("user_id must be a user's id.")
			}
			from := p.Query().Get("from")
			if from == "" {
				from = p.Query().Get("batch_token") // of the unstable form
			}
			after := int64(0)
			if from != "" {
				if after, err = strconv.ParseInt(from, 36, 64); err != nil || after < 0 {
					return nil, matrix.InvalidParam("from must be what an earlier answer gave.")
				}
			}
			nids, total, next, err := d.Users.MutualRooms(ctx, c, other, after)
			if err != nil {
				return nil, err
			}
			out := &mutualRooms{Joined: make([]matrix.RoomID, 0, len(nids)), Count: total}
			for _, nid := range nids {
				room, err := d.Rooms.RoomByNID(ctx, nid)
				if err != nil {
					return nil, err
				}
				out.Joined = append(out.Joined, room.ID())
			}
			if next > 0 {
				out.Next = strconv.FormatInt(next, 36)
			}
			return out, nil
		})
}

package clientapi

import (
	"context"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// roomUpgrades adds the route that replaces a room, and the one that describes a room to those outside.
// Spec: client-server-api/#room-upgrades, client-server-api/#room-summaries
func roomUpgrades(r *httpx.Router, s *rooms.Service) {
	roomRoute(r, s, "POST", "/_matrix/client/v3/rooms/{roomID}/upgrade", httpx.Route{Access: httpx.User, R0: true, Spec: "upgradeRoom"},
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, _ httpx.Path, in upgradeRequest) (upgradeAnswer, error) {
			if in.Version == "" {
				return upgradeAnswer{}, matrix.MissingParam("new_version says to which room version.")
			}
			next, err := s.Upgrade(ctx, c, room, in.Version, in.Creators)
			if err != nil {
				return upgradeAnswer{}, err
			}
			return upgradeAnswer{next.ID()}, nil
		})
	httpx.Handle(r, "GET", "/_matrix/client/v1/room_summary/{roomIDOrAlias}",
		httpx.Route{Access: httpx.Optional, Spec: "getRoomSummary", Unstable: []string{
			"/_matrix/client/unstable/im.nheko.summary/summary/{roomIDOrAlias}",
			"/_matrix/client/unstable/im.nheko.summary/rooms/{roomIDOrAlias}/summary",
		}},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*rooms.Summary, error) {
			room, err := roomNamed(ctx, s, p.Var("roomIDOrAlias"))
			if err != nil {
				return nil, err
			}
			return s.Summarise(ctx, room, c.User)
		})
}

type upgradeRequest struct {
	Version  string          `json:"new_version"`
	Creators []matrix.UserID `json:"additional_creators"`
}

type upgradeAnswer struct {
	Replacement matrix.RoomID `json:"replacement_room"`
}

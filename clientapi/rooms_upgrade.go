package clientapi

import (
	"context"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// roomUpgrades adds the route that replaces a room, and the one that describes a room to those outside.
// Spec: client-server-api/#room-upgrades, client-server-api/#room-summaries
func roomUpgrades(r *httpx.Router, d Deps) {
	s := d.Rooms
	roomRoute(r, s, "POST", "/_matrix/client/v3/rooms/{roomID}/upgrade", httpx.Route{Access: httpx.User, R0: true, Spec: "upgradeRoom", Writes: true},
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, _ httpx.Path, in upgradeRequest) (upgradeAnswer, error) {
			if in.Version == "" {
				return upgradeAnswer{}, matrix.MissingParam("new_version says to which room version.")
			}
			next, err := s.Upgrade(ctx, c, room, in.Version, in.Creators)
			if err != nil {
				return upgradeAnswer{}, err
			}
			return upgradeAnswer{next.ID()}, d.inherit(ctx, c, next)
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

// roomSpaces adds the route that walks through a space. Spec: client-server-api/#spaces
func roomSpaces(r *httpx.Router, s *rooms.Service) {
	roomRoute(r, s, "GET", "/_matrix/client/v1/rooms/{roomID}/hierarchy", httpx.Route{Access: httpx.UserOrGuest, Spec: "getSpaceHierarchy"},
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (hierarchyAnswer, error) {
			q := rooms.HierarchyRequest{From: p.Query().Get("from")}
			var err error
			if q.SuggestedOnly, err = p.QueryBool("suggested_only", false); err != nil {
				return hierarchyAnswer{}, err
			}
			if q.Limit, err = positive(p, "limit"); err != nil {
				return hierarchyAnswer{}, err
			}
			if q.MaxDepth, err = p.QueryInt("max_depth", -1); err != nil || q.MaxDepth < 0 && p.Query().Has("max_depth") {
				return hierarchyAnswer{}, matrix.InvalidParam("max_depth must not be negative.")
			}
			list, next, err := s.Hierarchy(ctx, room, c.User, q)
			return hierarchyAnswer{list, next}, err
		})
}

type hierarchyAnswer struct {
	Rooms     []rooms.HierarchyRoom `json:"rooms"`
	NextBatch string                `json:"next_batch,omitempty"`
}

type upgradeRequest struct {
	Version  string          `json:"new_version"`
	Creators []matrix.UserID `json:"additional_creators"`
}

type upgradeAnswer struct {
	Replacement matrix.RoomID `json:"replacement_room"`
}

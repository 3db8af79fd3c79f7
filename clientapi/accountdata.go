package clientapi

import (
	"context"
	"encoding/json"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// accountDataRoutes adds users' own data, global and for rooms, and tags. Spec: client-server-api/#client-config
func accountDataRoutes(r *httpx.Router, d Deps) {
	const user = "/_matrix/client/v3/user/{userID}"
	httpx.Handle(r, "GET", user+"/account_data/{type}", ofUser("getAccountData"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
			if err := ownPath(c, p); err != nil {
				return nil, err
			}
			return d.Users.GetAccountData(ctx, c, 0, p.Var("type"))
		})
	httpx.Handle(r, "PUT", user+"/account_data/{type}", ofUser("setAccountData"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in json.RawMessage) (httpx.Empty, error) {
			if err := ownPath(c, p); err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, d.Users.SetAccountData(ctx, c, 0, p.Var("type"), in)
		})
	const unstable = "/_matrix/client/unstable/org.matrix.msc3391/user/{userID}"
	httpx.Handle(r, "DELETE", unstable+"/account_data/{type}", ofUser("MSC3391"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			if err := ownPath(c, p); err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, d.Users.SetAccountData(ctx, c, 0, p.Var("type"), json.RawMessage("{}"))
		})
	ownRoomRoute(r, d, "DELETE", unstable+"/rooms/{roomID}/account_data/{type}", "MSC3391",
		func(ctx context.Context, c matrix.Caller, room int64, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, d.Users.SetAccountData(ctx, c, room, p.Var("type"), json.RawMessage("{}"))
		})
	const room = user + "/rooms/{roomID}"
	ownRoomRoute(r, d, "GET", room+"/account_data/{type}", "getAccountDataPerRoom",
		func(ctx context.Context, c matrix.Caller, room int64, p httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
			return d.Users.GetAccountData(ctx, c, room, p.Var("type"))
		})
	ownRoomRoute(r, d, "PUT", room+"/account_data/{type}", "setAccountDataPerRoom",
		func(ctx context.Context, c matrix.Caller, room int64, p httpx.Path, in json.RawMessage) (httpx.Empty, error) {
			return httpx.Empty{}, d.Users.SetAccountData(ctx, c, room, p.Var("type"), in)
		})
	ownRoomRoute(r, d, "GET", room+"/tags", "getRoomTags",
		func(ctx context.Context, c matrix.Caller, room int64, _ httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
			return d.Users.Tags(ctx, c, room)
		})
	ownRoomRoute(r, d, "PUT", room+"/tags/{tag}", "setRoomTag",
		func(ctx context.Context, c matrix.Caller, room int64, p httpx.Path, in json.RawMessage) (httpx.Empty, error) {
			return httpx.Empty{}, d.Users.SetTag(ctx, c, room, p.Var("tag"), in)
		})
	ownRoomRoute(r, d, "DELETE", room+"/tags/{tag}", "deleteRoomTag",
		func(ctx context.Context, c matrix.Caller, room int64, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, d.Users.SetTag(ctx, c, room, p.Var("tag"), nil)
		})
}

// ownRoomRoute declares a route about the caller's own data for a room that he has to do with.
func ownRoomRoute[In, Out any](r *httpx.Router, d Deps, method, pattern, spec string,
	fn func(ctx context.Context, c matrix.Caller, room int64, p httpx.Path, in In) (Out, error),
) {
	roomRoute(r, d.Rooms, method, pattern, ofUser(spec),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, in In) (Out, error) {
			var none Out
			if err := ownPath(c, p); err != nil {
				return none, err
			}
			standing, err := d.Rooms.Standing(ctx, room, c.User)
			if err != nil {
				return none, err
			}
			if standing.User == 0 {
				return none, hideRoom(c, matrix.NotFound("There is no such room."))
			}
			return fn(ctx, c, room.NID(), p, in)
		})
}

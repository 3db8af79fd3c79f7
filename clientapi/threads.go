package clientapi

import (
	"context"
	"strconv"

	"rempart/core/rooms"
	subscriptions "rempart/core/threads"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// threadRoutes adds what users say of threads. MSC4306, MSC4308
func threadRoutes(r *httpx.Router, d Deps) {
	const path = "/_matrix/client/unstable/io.element.msc4306/rooms/{roomID}/thread/{eventID}/subscription"
	own := httpx.Route{Access: httpx.UserOrGuest, Class: "receipt", Spec: "MSC4306"}
	type automatic struct {
		Automatic bool `json:"automatic"`
	}
	roomRoute(r, d.Rooms, "GET", path, own,
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (automatic, error) {
			is, err := d.Threads.Get(ctx, c, room, matrix.EventID(p.Var("eventID")))
			return automatic{is}, err
		})
	roomRoute(r, d.Rooms, "PUT", path, own,
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, in struct {
			Cause matrix.EventID `json:"automatic"`
		},
		) (httpx.Empty, error) {
			return httpx.Empty{}, d.Threads.Subscribe(ctx, c, room, matrix.EventID(p.Var("eventID")), in.Cause)
		})
	roomRoute(r, d.Rooms, "DELETE", path, own,
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, d.Threads.Unsubscribe(ctx, c, room, matrix.EventID(p.Var("eventID")))
		})
	httpx.Handle(r, "GET", "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions",
		httpx.Route{Access: httpx.UserOrGuest, Spec: "MSC4308"}, d.threadSubscriptions)
}

type subscriptionsAnswer struct {
	*subscriptions.Page
	End string `json:"end,omitempty"`
}

// threadSubscriptions pages backwards through what the user said of threads. Its tokens are positions, as those of a
// sliding sync's "prev_batch"; "to" may be a sliding sync's "pos" too.
func (d Deps) threadSubscriptions(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (subscriptionsAnswer, error) {
	var none subscriptionsAnswer
	if p.Param("dir") != "b" {
		return none, matrix.InvalidParam(`dir must be "b".`)
	}
	limit, err := p.QueryInt("limit", 100)
	if err != nil || limit < 1 {
		return none, matrix.InvalidParam("limit must be a number above 0.")
	}
	from, to := int64(1)<<53, int64(0)
	if text := p.Param("from"); text != "" {
		if from, err = strconv.ParseInt(text, 10, 64); err != nil {
			return none, matrix.InvalidParam("from is no token of this server.")
		}
	}
	if text := p.Param("to"); text != "" {
		token, err := matrix.ParseSlidingToken(text)
		if err != nil {
			return none, matrix.InvalidParam("to is no token of this server.")
		}
		to = token.Pos
	}
	page, err := d.Threads.Changes(ctx, c.UserNID, to, from, limit)
	if err != nil {
		return none, err
	}
	out := subscriptionsAnswer{Page: page}
	if page.Older > to {
		out.End = strconv.FormatInt(page.Older, 10)
	}
	return out, nil
}

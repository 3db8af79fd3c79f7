package clientapi

import (
	"context"
	"time"

	syncing "rempart/core/sync"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// typingBody says whether the user types, and for how many milliseconds that holds.
type typingBody struct {
	Typing  *bool `json:"typing"`
	Timeout int64 `json:"timeout"`
}

// typingRoutes adds typing notifications. Spec: client-server-api/#typing-notifications
func typingRoutes(r *httpx.Router, s *syncing.Service) {
	httpx.Handle(r, "PUT", "/_matrix/client/v3/rooms/{roomID}/typing/{userID}",
		httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: "typing", Spec: "setTyping"},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in typingBody) (httpx.Empty, error) {
			if err := ownPath(c, p); err != nil {
				return httpx.Empty{}, err
			}
			room, err := p.RoomID()
			if err != nil {
				return httpx.Empty{}, err
			}
			if in.Typing == nil {
				return httpx.Empty{}, matrix.MissingParam("The field typing is missing: true or false.")
			}
			const most = int64(time.Hour / time.Millisecond)
			return httpx.Empty{}, s.SetTyping(ctx, &c, room, *in.Typing, time.Duration(min(max(in.Timeout, 0), most))*time.Millisecond)
		})
}

package clientapi

import (
	"context"
	"encoding/json"
	"strconv"

	"rempart/core/reports"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type reportRequest struct {
	Reason string `json:"reason"`
	// Score is what versions of the specification before 1.18 had.
	Score json.RawMessage `json:"score"`
}

// reportRoutes adds the routes by which users report content to the moderators.
// Spec: client-server-api/#reporting-content
func reportRoutes(r *httpx.Router, s *reports.Service) {
	httpx.Handle(r, "POST", "/_matrix/client/v3/rooms/{roomID}/report/{eventID}", ofUser("reportEvent"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in reportRequest) (httpx.Empty, error) {
			room, err := p.RoomID()
			if err != nil {
				return httpx.Empty{}, err
			}
			event, err := p.EventID()
			if err != nil {
				return httpx.Empty{}, err
			}
			score, _ := strconv.ParseInt(string(in.Score), 10, 64) // what is no number says nothing
			return httpx.Empty{}, s.Event(ctx, c, room, event, in.Reason, score)
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/rooms/{roomID}/report", ofUser("reportRoom"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in reportRequest) (httpx.Empty, error) {
			room, err := p.RoomID()
			if err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, s.Room(ctx, c, room, in.Reason)
		})
	httpx.Handle(r, "POST", "/_matrix/client/v3/users/{userID}/report", ofUser("reportUser"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in reportRequest) (httpx.Empty, error) {
			user, err := p.UserID()
			if err != nil {
				return httpx.Empty{}, err
			}
			return httpx.Empty{}, s.User(ctx, c, user, in.Reason)
		})
}

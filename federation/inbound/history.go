package inbound

import (
	"context"
	"encoding/json"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type missingRequest struct {
	Earliest []matrix.EventID `json:"earliest_events"`
	Latest   []matrix.EventID `json:"latest_events"`
	Limit    int              `json:"limit"`
	MinDepth int64            `json:"min_depth"`
}

type missingAnswer struct {
	Events []json.RawMessage `json:"events"`
}

// historyRoutes hands out history and what is missing in it.
// Spec: server-server-api/#backfilling-and-retrieving-missing-events
func historyRoutes(r *httpx.Router, s *rooms.Service) {
	httpx.Handle(r, "POST", "/_matrix/federation/v1/get_missing_events/{roomID}", signed("getMissingPreviousEvents"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, q missingRequest) (a missingAnswer, err error) {
			room, err := p.RoomID()
			if err != nil {
				return a, err
			}
			events, err := s.ServeMissing(ctx, c.Server, room, q.Earliest, q.Latest, q.Limit, q.MinDepth)
			return missingAnswer{texts(events)}, err
		})
	httpx.Handle(r, "GET", "/_matrix/federation/v1/backfill/{roomID}", signed("backfillRoom"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (a eventsAnswer, err error) {
			room, err := p.RoomID()
			if err != nil {
				return a, err
			}
			limit, err := p.QueryInt("limit", 0)
			if err != nil {
				return a, err
			}
			var from []matrix.EventID
			for _, v := range p.Query()["v"] {
				from = append(from, matrix.EventID(v))
			}
			if len(from) == 0 {
				return a, matrix.MissingParam("Say from which events by \"v\".")
			}
			events, err := s.ServeBackfill(ctx, c.Server, room, from, limit)
			return answerWith(c, events...), err
		})
}

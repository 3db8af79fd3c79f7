package inbound

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// eventsAnswer is a list of events as transactions carry it.
type eventsAnswer struct {
	Origin matrix.ServerName `json:"origin"`
	TS     int64             `json:"origin_server_ts"`
	PDUs   []json.RawMessage `json:"pdus"`
}

func answerWith(c matrix.Caller, events ...*matrix.Event) eventsAnswer {
	return eventsAnswer{Origin: c.Destination, TS: time.Now().UnixMilli(), PDUs: texts(events)}
}

// texts are events as servers exchange them.
func texts(events []*matrix.Event) []json.RawMessage {
	out := make([]json.RawMessage, len(events))
	for i, e := range events {
		out[i] = e.JSON
	}
	return out
}

func textsOf(events []*rooms.Stored) []json.RawMessage {
	out := make([]json.RawMessage, len(events))
	for i, e := range events {
		out[i] = e.JSON
	}
	return out
}

// roomAndEvent reads the room of the path and the event that is named in the query by event_id.
func roomAndEvent(p httpx.Path) (matrix.RoomID, matrix.EventID, error) {
	room, err := p.RoomID()
	if err != nil {
		return "", "", err
	}
	id := p.Query().Get("event_id")
	if id == "" {
		return "", "", matrix.MissingParam("Say at which event by \"event_id\".")
	}
	return room, matrix.EventID(id), nil
}

// eventRoutes hands out single events, and the event of a time. Spec: server-server-api/#retrieving-events
func eventRoutes(r *httpx.Router, s *rooms.Service) {
	httpx.Handle(r, "GET", "/_matrix/federation/v1/event/{eventID}", signed("getEvent"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (eventsAnswer, error) {
			e, err := s.ServeEvent(ctx, c.Server, matrix.EventID(p.Var("eventID")))
			if err != nil {
				return eventsAnswer{}, err
			}
			return answerWith(c, e), nil
		})
	httpx.Handle(r, "GET", "/_matrix/federation/v1/timestamp_to_event/{roomID}", signed("getEventByTimestamp"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (a nearAnswer, err error) {
			room, err := p.RoomID()
			if err != nil {
				return a, err
			}
			ts, err := strconv.ParseInt(p.Query().Get("ts"), 10, 64)
			dir := p.Query().Get("dir")
			if err != nil || dir != "f" && dir != "b" {
				return a, matrix.InvalidParam("ts must be a time in milliseconds and dir \"f\" or \"b\".")
			}
			e, err := s.ServeNear(ctx, c.Server, room, ts, dir == "b")
			if err != nil {
				return a, err
			}
			return nearAnswer{e.ID, e.OriginServerTS}, nil
		})
}

type nearAnswer struct {
	EventID matrix.EventID `json:"event_id"`
	TS      int64          `json:"origin_server_ts"`
}

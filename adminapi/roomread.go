package adminapi

import (
	"context"
	"encoding/json"
	"io"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// reader is who reads in the place of the administrator: it sees all of every room.
func reader() matrix.Caller { return matrix.Caller{User: rooms.Auditor} }

// roomReadRoutes adds what an administrator may read though he is not in the room. Each reading is recorded.
func roomReadRoutes(r *httpx.Router, d Deps) {
	ofRoom(r, "GET", "/v1/rooms/{roomID}/state", func(ctx context.Context, c matrix.Caller, id matrix.RoomID, p httpx.Path, _ httpx.Empty) (httpx.Streamed, error) {
		room, err := d.Admin.Read(ctx, c, id, "state")
		if err != nil {
			return nil, err
		}
		list, err := d.Rooms.Listed(ctx, room, reader())
		if err != nil {
			return nil, err
		}
		if typ := p.Query().Get("type"); typ != "" {
			list = list.Only(typ)
		}
		return httpx.Streamed(func(w io.Writer) error { return list.WriteJSON(ctx, w) }).As("state"), nil
	})
	ofRoom(r, "GET", "/v1/rooms/{roomID}/messages",
		func(ctx context.Context, c matrix.Caller, id matrix.RoomID, p httpx.Path, _ httpx.Empty) (*messagesAnswer, error) {
			return readMessages(ctx, d, c, id, p)
		})
	ofRoom(r, "GET", "/v1/rooms/{roomID}/context/{eventID}",
		func(ctx context.Context, c matrix.Caller, id matrix.RoomID, p httpx.Path, _ httpx.Empty) (*contextAnswer, error) {
			return readContext(ctx, d, c, id, p)
		})
	ofRoom(r, "GET", "/v1/rooms/{roomID}/timestamp_to_event",
		func(ctx context.Context, c matrix.Caller, id matrix.RoomID, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
			ts, err := needed(p, "ts")
			if err != nil {
				return nil, err
			}
			dir := p.Query().Get("dir")
			if dir != "" && dir != "f" && dir != "b" {
				return nil, matrix.InvalidParam("dir must be f or b.")
			}
			room, err := d.Admin.Room(ctx, c, id)
			if err != nil {
				return nil, err
			}
			e, err := d.Rooms.EventNear(ctx, room, rooms.Auditor, ts, dir == "b")
			if err != nil {
				return nil, err
			}
			return map[string]any{"event_id": e.ID, "origin_server_ts": e.OriginServerTS}, nil
		})
	hierarchyRoute(r, d)
	handle(r, "GET", "/v1/fetch_event/{eventID}", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		id, err := p.EventID()
		if err != nil {
			return nil, err
		}
		e, _, err := d.Admin.FetchEvent(ctx, c, id)
		if err != nil {
			return nil, err
		}
		body, err := withID(e.JSON, e.ID)
		return map[string]any{"event": body}, err
	})
}

// withID adds its id to an event in the form of servers, which has none from room version 3 on.
func withID(event []byte, id matrix.EventID) (json.RawMessage, error) {
	var e map[string]json.RawMessage
	if err := matrix.Decode(event, &e); err != nil {
		return nil, err
	}
	quoted, err := json.Marshal(id)
	e["event_id"] = quoted
	if err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

// hierarchyRoute adds the tree of a space.
func hierarchyRoute(r *httpx.Router, d Deps) {
	type answer struct {
		Rooms []rooms.HierarchyRoom `json:"rooms"`
		Next  string                `json:"next_batch,omitempty"`
	}
	ofRoom(r, "GET", "/v1/rooms/{roomID}/hierarchy", func(ctx context.Context, c matrix.Caller, id matrix.RoomID, p httpx.Path, _ httpx.Empty) (*answer, error) {
		limit, err := natural(p, "limit", 0)
		if err != nil {
			return nil, err
		}
		q := rooms.HierarchyRequest{From: p.Query().Get("from"), Limit: int(min(limit, 1000)), MaxDepth: -1}
		if p.Query().Get("max_depth") != "" {
			depth, err := natural(p, "max_depth", 0)
			if err != nil {
				return nil, err
			}
			q.MaxDepth = int(min(depth, 1000))
		}
		room, err := d.Admin.Read(ctx, c, id, "hierarchy")
		if err != nil {
			return nil, err
		}
		list, next, err := d.Rooms.Hierarchy(ctx, room, rooms.Auditor, q)
		return &answer{list, next}, err
	})
}

type messagesAnswer struct {
	Start string            `json:"start"`
	End   string            `json:"end,omitempty"`
	Chunk []json.RawMessage `json:"chunk"`
	State []json.RawMessage `json:"state,omitempty"`
}

func readMessages(ctx context.Context, d Deps, c matrix.Caller, id matrix.RoomID, p httpx.Path) (*messagesAnswer, error) {
	q := rooms.MessagesRequest{Backward: p.Query().Get("dir") == "b"}
	limit, err := natural(p, "limit", 0)
	if err != nil {
		return nil, err
	}
	q.Limit = int(min(limit, longestPage))
	for name, to := range map[string]**matrix.PageToken{"from": &q.From, "to": &q.To} {
		if text := p.Query().Get(name); text != "" {
			t, err := matrix.ParsePageToken(text)
			if err != nil {
				return nil, err
			}
			*to = &t
		}
	}
	if q.Filter, err = eventFilter(p); err != nil {
		return nil, err
	}
	room, err := d.Admin.Read(ctx, c, id, "messages")
	if err != nil {
		return nil, err
	}
	pg, err := d.Rooms.Messages(ctx, room, rooms.Auditor, q)
	if err != nil {
		return nil, err
	}
	out := &messagesAnswer{Start: pg.Start.String()}
	if pg.End != nil {
		out.End = pg.End.String()
	}
	if out.Chunk, err = d.Rooms.Render(ctx, room, reader(), pg.Events); err != nil {
		return nil, err
	}
	out.State, err = d.Rooms.Render(ctx, room, reader(), pg.State)
	return out, err
}

type contextAnswer struct {
	Start  string            `json:"start"`
	End    string            `json:"end"`
	Event  json.RawMessage   `json:"event"`
	Before []json.RawMessage `json:"events_before"`
	After  []json.RawMessage `json:"events_after"`
	State  []json.RawMessage `json:"state"`
}

func readContext(ctx context.Context, d Deps, c matrix.Caller, id matrix.RoomID, p httpx.Path) (*contextAnswer, error) {
	event, err := p.EventID()
	if err != nil {
		return nil, err
	}
	limit, err := natural(p, "limit", 10)
	if err != nil {
		return nil, err
	}
	filter, err := eventFilter(p)
	if err != nil {
		return nil, err
	}
	room, err := d.Admin.Read(ctx, c, id, "context of "+string(event))
	if err != nil {
		return nil, err
	}
	found, err := d.Rooms.Context(ctx, room, rooms.Auditor, event, int(min(limit, 200)), filter)
	if err != nil {
		return nil, err
	}
	out := &contextAnswer{Start: found.Start.String(), End: found.End.String()}
	if out.Event, err = d.Rooms.RenderOne(ctx, room, reader(), found.Event); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		from []*rooms.Stored
		to   *[]json.RawMessage
	}{{found.Before, &out.Before}, {found.After, &out.After}, {found.State, &out.State}} {
		if *part.to, err = d.Rooms.Render(ctx, room, reader(), part.from); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// eventFilter reads the event filter of a query; nil when it is absent.
func eventFilter(p httpx.Path) (*rooms.EventFilter, error) {
	text := p.Query().Get("filter")
	if text == "" {
		return nil, nil
	}
	return rooms.ParseEventFilter([]byte(text))
}

package clientapi

import (
	"context"
	"encoding/json"
	"strconv"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// roomRelations adds the routes by which clients find events by what they relate to, or when they were sent.
// Spec: client-server-api/#relationships-api
func roomRelations(r *httpx.Router, s *rooms.Service) {
	read := httpx.Route{Access: httpx.UserOrGuest}
	answer := func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (*relationsAnswer, error) {
		return relations(ctx, s, c, room, p)
	}
	const base = "/_matrix/client/v1/rooms/{roomID}/relations/{eventID}"
	roomRoute(r, s, "GET", base, named(read, "getRelatingEvents"), answer)
	roomRoute(r, s, "GET", base+"/{relType}", named(read, "getRelatingEventsWithRelType"), answer)
	roomRoute(r, s, "GET", base+"/{relType}/{eventType}", named(read, "getRelatingEventsWithRelTypeAndEventType"), answer)
	roomRoute(r, s, "GET", "/_matrix/client/v1/rooms/{roomID}/threads", named(read, "getThreadRoots"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (*relationsAnswer, error) {
			return threads(ctx, s, c, room, p)
		})
	roomRoute(r, s, "GET", "/_matrix/client/v1/rooms/{roomID}/timestamp_to_event", named(read, "getEventByTimestamp"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (*timeAnswer, error) {
			return eventNear(ctx, s, c, room, p)
		})
}

type relationsAnswer struct {
	Chunk     []json.RawMessage `json:"chunk"`
	NextBatch string            `json:"next_batch,omitempty"`
	PrevBatch string            `json:"prev_batch,omitempty"`
	Depth     int               `json:"recursion_depth,omitempty"`
}

func relations(ctx context.Context, s *rooms.Service, c matrix.Caller, room *rooms.Room, p httpx.Path) (*relationsAnswer, error) {
	q := rooms.RelationsRequest{RelType: p.Var("relType"), EventType: p.Var("eventType")}
	var err error
	if q.Parent, err = p.EventID(); err != nil {
		return nil, err
	}
	if q.Backward, err = backward(p, "b"); err != nil {
		return nil, err
	}
	if q.From, err = pageToken(p, "from"); err != nil {
		return nil, err
	}
	if q.To, err = pageToken(p, "to"); err != nil {
		return nil, err
	}
	if q.Limit, err = positive(p, "limit"); err != nil {
		return nil, err
	}
	if q.Recurse, err = p.QueryBool("recurse", false); err != nil {
		return nil, err
	}
	page, err := s.Relations(ctx, room, c.User, q)
	if err != nil {
		return nil, err
	}
	out := &relationsAnswer{PrevBatch: p.Query().Get("from")}
	if page.Next != nil {
		out.NextBatch = page.Next.String()
	}
	if p.Query().Has("recurse") {
		out.Depth = page.Depth
	}
	out.Chunk, err = s.Render(ctx, room, c, page.Events)
	return out, err
}

func threads(ctx context.Context, s *rooms.Service, c matrix.Caller, room *rooms.Room, p httpx.Path) (*relationsAnswer, error) {
	q := rooms.ThreadsRequest{}
	switch include := p.Query().Get("include"); include {
	case "", "all":
	case "participated":
		q.Participated = true
	default:
		return nil, matrix.InvalidParam("include must be all or participated.")
	}
	var err error
	if q.From, err = pageToken(p, "from"); err != nil {
		return nil, err
	}
	if q.Limit, err = positive(p, "limit"); err != nil {
		return nil, err
	}
	roots, next, err := s.Threads(ctx, room, c, q)
	if err != nil {
		return nil, err
	}
	out := &relationsAnswer{}
	if next != nil {
		out.NextBatch = next.String()
	}
	out.Chunk, err = s.Render(ctx, room, c, roots)
	return out, err
}

type timeAnswer struct {
	EventID matrix.EventID `json:"event_id"`
	TS      int64          `json:"origin_server_ts"`
}

func eventNear(ctx context.Context, s *rooms.Service, c matrix.Caller, room *rooms.Room, p httpx.Path) (*timeAnswer, error) {
	if err := s.MayRead(ctx, room, c.User); err != nil {
		return nil, err
	}
	ts, err := strconv.ParseInt(p.Query().Get("ts"), 10, 64)
	if err != nil {
		return nil, matrix.InvalidParam("ts must be a time in milliseconds.")
	}
	back, err := backward(p, "")
	if err != nil {
		return nil, err
	}
	e, err := s.EventNear(ctx, room, c.User, ts, back)
	if err != nil {
		return nil, err
	}
	return &timeAnswer{e.ID, e.OriginServerTS}, nil
}

// backward reads the direction of a query; def, unless empty, stands for an absent one.
func backward(p httpx.Path, def string) (bool, error) {
	dir := p.Query().Get("dir")
	if dir == "" {
		dir = def
	}
	switch dir {
	case "b", "f":
		return dir == "b", nil
	case "":
		return false, matrix.MissingParam("dir says in which direction to read: b or f.")
	}
	return false, matrix.InvalidParam("dir must be b or f.")
}

// positive reads a number that must be greater than zero; 0 when it is absent.
func positive(p httpx.Path, name string) (int, error) {
	n, err := p.QueryInt(name, 0)
	if err == nil && (n < 0 || n == 0 && p.Query().Has(name)) {
		err = matrix.InvalidParam(name + " must be greater than zero.")
	}
	return n, err
}

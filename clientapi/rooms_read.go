package clientapi

import (
	"context"
	"encoding/json"
	"io"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// roomReading adds the routes by which clients read rooms. Spec: client-server-api/#getting-events-for-a-room
func roomReading(r *httpx.Router, s *rooms.Service) {
	read := httpx.Route{Access: httpx.UserOrGuest, R0: true}
	roomRoute(r, s, "GET", "/_matrix/client/v3/rooms/{roomID}/event/{eventID}", named(read, "getOneRoomEvent"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
			id, err := p.EventID()
			if err != nil {
				return nil, err
			}
			e, err := s.Event(ctx, room, c.User, id)
			if err != nil {
				return nil, err
			}
			return s.RenderOne(ctx, room, c, e)
		})
	roomRoute(r, s, "GET", "/_matrix/client/v3/rooms/{roomID}/messages", named(read, "getRoomEvents"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (*messagesAnswer, error) {
			return messages(ctx, s, c, room, p)
		})
	roomRoute(r, s, "GET", "/_matrix/client/v3/rooms/{roomID}/context/{eventID}", named(read, "getEventContext"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (*contextAnswer, error) {
			return eventContext(ctx, s, c, room, p)
		})
	roomState(r, s, read)
	roomMembers(r, s, read)
}

func roomState(r *httpx.Router, s *rooms.Service, read httpx.Route) {
	roomRoute(r, s, "GET", "/_matrix/client/v3/rooms/{roomID}/state", named(read, "getRoomState"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, _ httpx.Path, _ httpx.Empty) (httpx.Streamed, error) {
			list, err := s.Listed(ctx, room, c)
			return func(w io.Writer) error { return list.WriteJSON(ctx, w) }, err
		})
	one := func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
		e, err := s.StateEvent(ctx, room, c.User, matrix.StateTuple{Type: p.Var("eventType"), Key: p.Var("stateKey")})
		if err != nil {
			return nil, err
		}
		switch format := p.Query().Get("format"); format {
		case "", "content":
			return e.Content, nil
		case "event":
			return s.RenderOne(ctx, room, c, e)
		}
		return nil, matrix.InvalidParam("format must be content or event.")
	}
	roomRoute(r, s, "GET", "/_matrix/client/v3/rooms/{roomID}/state/{eventType}/{stateKey}", named(read, "getRoomStateWithKey"), one)
	short := named(read, "getRoomStateWithKey")
	short.Unstable = []string{"/_matrix/client/v3/rooms/{roomID}/state/{eventType}/", "/_matrix/client/r0/rooms/{roomID}/state/{eventType}/"}
	roomRoute(r, s, "GET", "/_matrix/client/v3/rooms/{roomID}/state/{eventType}", short, one)
}

func roomMembers(r *httpx.Router, s *rooms.Service, read httpx.Route) {
	roomRoute(r, s, "GET", "/_matrix/client/v3/rooms/{roomID}/members", named(read, "getMembersByRoom"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (httpx.Streamed, error) {
			at, err := pageToken(p, "at")
			if err != nil {
				return nil, err
			}
			q := rooms.MembersRequest{At: at, Membership: p.Query().Get("membership"), NotMembership: p.Query().Get("not_membership")}
			list, err := s.Members(ctx, room, c, q)
			return httpx.Streamed(func(w io.Writer) error { return list.WriteJSON(ctx, w) }).As("chunk"), err
		})
	roomRoute(r, s, "GET", "/_matrix/client/v3/rooms/{roomID}/joined_members", named(read, "getJoinedMembersByRoom"),
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, _ httpx.Path, _ httpx.Empty) (httpx.Streamed, error) {
			list, err := s.JoinedMembers(ctx, room, c)
			return httpx.Streamed(func(w io.Writer) error { return writeProfiles(ctx, w, list) }).As("joined"), err
		})
}

// writeProfiles writes the profiles of members by their ids.
func writeProfiles(ctx context.Context, w io.Writer, list *rooms.Listing) error {
	before := byte('{')
	err := list.Each(ctx, func(events []*rooms.Stored) error {
		for _, e := range events {
			var m memberContent
			_ = matrix.Decode(e.Content, &m) // a member whose content is odd is still a member
			profile, err := json.Marshal(memberProfile(m))
			if err != nil {
				return err
			}
			b := append(matrix.AppendJSONString([]byte{before}, *e.StateKey), ':')
			if _, err := w.Write(append(b, profile...)); err != nil {
				return err
			}
			before = ','
		}
		return nil
	})
	if err == nil && before == '{' {
		_, err = io.WriteString(w, "{")
	}
	if err == nil {
		_, err = io.WriteString(w, "}")
	}
	return err
}

type memberProfile struct {
	DisplayName *string `json:"display_name"`
	AvatarURL   *string `json:"avatar_url"`
}

// memberContent is what a membership event says of the same; the two differ in a letter.
type memberContent struct {
	DisplayName *string `json:"displayname"`
	AvatarURL   *string `json:"avatar_url"`
}

type messagesAnswer struct {
	Start string            `json:"start"`
	End   string            `json:"end,omitempty"`
	Chunk []json.RawMessage `json:"chunk"`
	State []json.RawMessage `json:"state,omitempty"`
}

func messages(ctx context.Context, s *rooms.Service, c matrix.Caller, room *rooms.Room, p httpx.Path) (*messagesAnswer, error) {
	// Why first: whoever may not read the room learns nothing of what was wrong with his request.
	if err := s.MayRead(ctx, room, c.User); err != nil {
		return nil, err
	}
	q := rooms.MessagesRequest{}
	var err error
	if q.Backward, err = backward(p, ""); err != nil {
		return nil, err
	}
	if q.From, err = pageToken(p, "from"); err != nil {
		return nil, err
	}
	if q.To, err = pageToken(p, "to"); err != nil {
		return nil, err
	}
	if q.Limit, err = p.QueryInt("limit", 0); err != nil {
		return nil, err
	}
	if q.Filter, err = eventFilter(p); err != nil {
		return nil, err
	}
	page, err := s.Messages(ctx, room, c.User, q)
	if err != nil {
		return nil, err
	}
	out := &messagesAnswer{Start: page.Start.String()}
	if page.End != nil {
		out.End = page.End.String()
	}
	if out.Chunk, err = s.Render(ctx, room, c, page.Events); err != nil {
		return nil, err
	}
	out.State, err = s.Render(ctx, room, c, page.State)
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

func eventContext(ctx context.Context, s *rooms.Service, c matrix.Caller, room *rooms.Room, p httpx.Path) (*contextAnswer, error) {
	id, err := p.EventID()
	if err != nil {
		return nil, err
	}
	limit, err := p.QueryInt("limit", 10)
	if err != nil {
		return nil, err
	}
	filter, err := eventFilter(p)
	if err != nil {
		return nil, err
	}
	found, err := s.Context(ctx, room, c.User, id, min(limit, 200), filter)
	if err != nil {
		return nil, err
	}
	out := &contextAnswer{Start: found.Start.String(), End: found.End.String()}
	if out.Event, err = s.RenderOne(ctx, room, c, found.Event); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		from []*rooms.Stored
		to   *[]json.RawMessage
	}{{found.Before, &out.Before}, {found.After, &out.After}, {found.State, &out.State}} {
		if *part.to, err = s.Render(ctx, room, c, part.from); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// pageToken reads a place in a timeline from the query; nil when it is absent.
func pageToken(p httpx.Path, name string) (*matrix.PageToken, error) {
	text := p.Query().Get(name)
	if text == "" {
		return nil, nil
	}
	t, err := matrix.ParsePageToken(text)
	return &t, err
}

// eventFilter reads the event filter of a query; nil when it is absent.
func eventFilter(p httpx.Path) (*rooms.EventFilter, error) {
	text := p.Query().Get("filter")
	if text == "" {
		return nil, nil
	}
	return rooms.ParseEventFilter([]byte(text))
}

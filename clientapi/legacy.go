package clientapi

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// legacyRoutes adds how clients followed rooms before /sync: deprecated since r0 and still called by a few. They are made
// of what /sync answers. Spec: client-server-api/#syncing
func legacyRoutes(r *httpx.Router, d Deps) {
	read := httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: "sync"}
	httpx.Handle(r, "GET", "/_matrix/client/v3/initialSync", named(read, "initialSync"), d.initialSync)
	httpx.Handle(r, "GET", "/_matrix/client/v3/events", named(read, "getEvents"), d.events)
	httpx.Handle(r, "GET", "/_matrix/client/v3/events/{eventID}", named(read, "getOneEvent"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
			room, e, err := d.Rooms.EventAnywhere(ctx, c.User, matrix.EventID(p.Var("eventID")))
			if err != nil {
				return nil, err
			}
			return d.Rooms.RenderOne(ctx, room, c, e)
		})
	roomRoute(r, d.Rooms, "GET", "/_matrix/client/v3/rooms/{roomID}/initialSync", named(read, "roomInitialSync"), d.roomInitialSync)
}

// heldEvents is a list of events inside a sync.
type heldEvents struct {
	Events []json.RawMessage `json:"events"`
}

// oldSync is what the older forms take from a sync.
type oldSync struct {
	NextBatch string     `json:"next_batch"`
	Presence  heldEvents `json:"presence"`
	Account   heldEvents `json:"account_data"`
	Rooms     struct {
		Join   map[matrix.RoomID]*oldRoom `json:"join"`
		Leave  map[matrix.RoomID]*oldRoom `json:"leave"`
		Invite map[matrix.RoomID]*oldRoom `json:"invite"`
	} `json:"rooms"`
}

type oldRoom struct {
	Timeline struct {
		heldEvents
		PrevBatch string `json:"prev_batch"`
	} `json:"timeline"`
	State     heldEvents `json:"state_after"`
	Account   heldEvents `json:"account_data"`
	Ephemeral heldEvents `json:"ephemeral"`
	Invite    heldEvents `json:"invite_state"`
}

// sync asks for a sync and takes it apart.
func (d Deps) sync(ctx context.Context, c matrix.Caller, q syncing.Request, filter string) (*oldSync, error) {
	var err error
	if q.Filter, err = d.Sync.FilterOf(ctx, &c, filter); err != nil {
		return nil, err
	}
	q.StateAfter = true
	a, err := d.Sync.Sync(ctx, &c, q)
	if err != nil {
		return nil, err
	}
	defer a.Release()
	out := &oldSync{}
	return out, matrix.Decode(a.Bytes(), out)
}

// oldPage is a stretch of a room's events.
type oldPage struct {
	Start string            `json:"start,omitempty"`
	End   string            `json:"end"`
	Chunk []json.RawMessage `json:"chunk"`
}

// oldRoomInfo is a room as initialSync shows it.
type oldRoomInfo struct {
	Room       matrix.RoomID     `json:"room_id"`
	Membership string            `json:"membership"`
	Messages   *oldPage          `json:"messages,omitempty"`
	State      []json.RawMessage `json:"state,omitempty"`
	Invite     json.RawMessage   `json:"invite,omitempty"`
	Visibility string            `json:"visibility,omitempty"`
	Account    []json.RawMessage `json:"account_data,omitempty"`
	Presence   []json.RawMessage `json:"presence,omitempty"`
}

type oldInitial struct {
	End      string            `json:"end"`
	Rooms    []oldRoomInfo     `json:"rooms"`
	Presence []json.RawMessage `json:"presence"`
	Account  []json.RawMessage `json:"account_data"`
}

// initialSync is everything that the user has to do with. Spec: client-server-api/#get_matrixclientv3initialsync
func (d Deps) initialSync(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*oldInitial, error) {
	limit, err := p.QueryInt("limit", 10)
	if err != nil {
		return nil, err
	}
	archived, err := p.QueryBool("archived", false)
	if err != nil {
		return nil, err
	}
	filter := `{"room":{"timeline":{"limit":` + strconv.Itoa(min(max(limit, 0), 100)) + `},"include_leave":` + strconv.FormatBool(archived) + `}}`
	s, err := d.sync(ctx, c, syncing.Request{}, filter)
	if err != nil {
		return nil, err
	}
	if !archived { // Why again: sync tells of bans unasked, here only what the user is in or asked into is told
		s.Rooms.Leave = nil
	}
	out := &oldInitial{End: s.NextBatch, Rooms: []oldRoomInfo{}, Presence: all(s.Presence), Account: all(s.Account)}
	for _, group := range []struct {
		membership string
		rooms      map[matrix.RoomID]*oldRoom
	}{{"join", s.Rooms.Join}, {"leave", s.Rooms.Leave}} {
		for _, id := range slices.Sorted(maps.Keys(group.rooms)) {
			part := group.rooms[id]
			info := oldRoomInfo{Room: id, Membership: group.membership, State: within(id, part.State.Events), Account: all(part.Account),
				Messages: &oldPage{Start: part.Timeline.PrevBatch, End: s.NextBatch, Chunk: within(id, part.Timeline.Events)}}
			if info.Visibility, err = d.visibilityOf(ctx, id); err != nil {
				return nil, err
			}
			out.Rooms = append(out.Rooms, info)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Rooms.Invite)) {
		info := oldRoomInfo{Room: id, Membership: "invite"}
		if events := s.Rooms.Invite[id].Invite.Events; len(events) > 0 {
			info.Invite = within(id, events[len(events)-1:])[0]
		}
		out.Rooms = append(out.Rooms, info)
	}
	return out, nil
}

func (d Deps) visibilityOf(ctx context.Context, id matrix.RoomID) (string, error) {
	room, err := d.Rooms.Room(ctx, id)
	if err != nil {
		return "", err
	}
	public, err := d.Rooms.IsPublished(ctx, room)
	return visibilityOf(public).Visibility, err
}

// all is never nil.
func all(e heldEvents) []json.RawMessage {
	if e.Events == nil {
		return []json.RawMessage{}
	}
	return e.Events
}

// within writes into events in which room they are.
func within(room matrix.RoomID, events []json.RawMessage) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(events))
	for _, e := range events {
		if len(e) > 2 && e[0] == '{' {
			named := append(matrix.AppendJSONString([]byte(`{"room_id":`), room), ',')
			e = append(named, e[1:]...)
		}
		out = append(out, e)
	}
	return out
}

// events waits for what is new; with room_id, in a room that anyone may read.
// Spec: client-server-api/#get_matrixclientv3events
func (d Deps) events(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (*oldPage, error) {
	ms, err := p.QueryInt("timeout", 0)
	if err != nil {
		return nil, err
	}
	wait := time.Duration(min(max(ms, 0), 60_000)) * time.Millisecond
	from := p.Param("from")
	if id := p.Param("room_id"); id != "" {
		return d.peek(ctx, c, matrix.RoomID(id), from, wait)
	}
	if from != "" {
		if _, err := matrix.ParseSyncToken(from); err != nil {
			return nil, err
		}
	}
	s, err := d.sync(ctx, c, syncing.Request{Since: from, Timeout: wait}, "")
	if err != nil {
		return nil, err
	}
	out := &oldPage{Start: from, End: s.NextBatch, Chunk: []json.RawMessage{}}
	if from == "" {
		return out, nil // Why nothing: a stream that begins now has no past
	}
	for _, id := range slices.Sorted(maps.Keys(s.Rooms.Join)) {
		part := s.Rooms.Join[id]
		out.Chunk = append(append(out.Chunk, within(id, part.Timeline.Events)...), within(id, part.Ephemeral.Events)...)
	}
	for _, id := range slices.Sorted(maps.Keys(s.Rooms.Leave)) {
		out.Chunk = append(out.Chunk, within(id, s.Rooms.Leave[id].Timeline.Events)...)
	}
	out.Chunk = append(out.Chunk, s.Presence.Events...)
	return out, nil
}

// peek follows a room without being in it. It looks once a second: nothing wakes those who are no members.
func (d Deps) peek(ctx context.Context, c matrix.Caller, id matrix.RoomID, from string, wait time.Duration) (*oldPage, error) {
	room, err := d.Rooms.Room(ctx, id)
	if err != nil {
		return nil, hideRoom(c, err)
	}
	if err := d.Rooms.MayRead(ctx, room, c.User); err != nil {
		return nil, err
	}
	q := rooms.MessagesRequest{Limit: 100, Backward: from == ""}
	if from != "" {
		at, err := matrix.ParsePageToken(from)
		if err != nil {
			return nil, err
		}
		q.From = &at
	}
	end := time.Now().Add(wait)
	for {
		page, err := d.Rooms.Messages(ctx, room, c.User, q)
		if err != nil {
			return nil, err
		}
		out := &oldPage{Start: page.Start.String(), End: page.Start.String()}
		if from != "" && len(page.Events) > 0 {
			last := page.Events[len(page.Events)-1]
			out.End = matrix.LivePage(last.Position()).String()
		}
		if from == "" {
			page.Events = nil // a stream that begins now
		}
		if out.Chunk, err = d.Rooms.Render(ctx, room, c, page.Events); err != nil {
			return nil, err
		}
		if len(out.Chunk) > 0 || from == "" || !time.Now().Before(end) {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(time.Second, time.Until(end))):
		}
	}
}

// roomInitialSync is a room as the user may see it. Spec: client-server-api/#get_matrixclientv3roomsroomidinitialsync
func (d Deps) roomInitialSync(ctx context.Context, c matrix.Caller, room *rooms.Room, p httpx.Path, _ httpx.Empty) (*oldRoomInfo, error) {
	limit, err := p.QueryInt("limit", 10)
	if err != nil {
		return nil, err
	}
	events, err := d.Rooms.State(ctx, room, c.User)
	if err != nil {
		return nil, err
	}
	out := &oldRoomInfo{Room: room.ID(), Membership: "leave"}
	if out.State, err = d.Rooms.Render(ctx, room, c, events); err != nil {
		return nil, err
	}
	for _, e := range events {
		if e.Type == "m.room.member" && e.StateKeyEquals(string(c.User)) {
			out.Membership = e.Membership()
		}
	}
	page, err := d.Rooms.Messages(ctx, room, c.User, rooms.MessagesRequest{Backward: true, Limit: min(max(limit, 1), 100)})
	if err != nil {
		return nil, err
	}
	slices.Reverse(page.Events)
	out.Messages = &oldPage{End: page.Start.String()}
	if page.End != nil {
		out.Messages.Start = page.End.String()
	}
	if out.Messages.Chunk, err = d.Rooms.Render(ctx, room, c, page.Events); err != nil {
		return nil, err
	}
	out.Visibility, err = d.visibilityOf(ctx, room.ID())
	return out, err
}

package inbound

import (
	"context"
	"encoding/json"
	"strconv"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type templateAnswer struct {
	RoomVersion string          `json:"room_version,omitempty"`
	Event       json.RawMessage `json:"event"`
}

// joinAnswer is the room as a joining server gets it. Lists may be long, so that it writes itself.
type joinAnswer struct {
	*rooms.Admission
	origin matrix.ServerName
	event  *matrix.Event
}

// AppendJSON writes the answer.
func (a joinAnswer) AppendJSON(dst []byte) ([]byte, error) {
	dst = appendEvents(append(dst, `{"auth_chain":[`...), a.Auth)
	dst = append(append(dst, `],"event":`...), a.event.JSON...)
	dst = strconv.AppendBool(append(dst, `,"members_omitted":`...), a.Omitted)
	dst = matrix.AppendJSONString(append(dst, `,"origin":`...), a.origin)
	if a.Omitted {
		names, err := json.Marshal(a.Servers)
		if err != nil {
			return dst, err
		}
		dst = append(append(dst, `,"servers_in_room":`...), names...)
	}
	dst = appendEvents(append(dst, `,"state":[`...), a.State)
	return append(dst, `]}`...), nil
}

func appendEvents(dst []byte, events []*rooms.Stored) []byte {
	for i, e := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e.JSON...)
	}
	return dst
}

// oldForm is an answer of the first version of an operation: a pair of status and body.
type oldForm struct{ answer httpx.Appender }

// AppendJSON writes the pair.
func (o oldForm) AppendJSON(dst []byte) ([]byte, error) {
	dst, err := o.answer.AppendJSON(append(dst, `[200,`...))
	return append(dst, ']'), err
}

// plain is an answer that is JSON already.
type plain json.RawMessage

// AppendJSON writes the answer.
func (p plain) AppendJSON(dst []byte) ([]byte, error) { return append(dst, p...), nil }

// membershipRoutes let users of other servers in and out. Spec: server-server-api/#joining-rooms
func membershipRoutes(r *httpx.Router, s *rooms.Service) {
	makeRoute := func(act, spec string) {
		httpx.Handle(r, "GET", "/_matrix/federation/v1/make_"+act+"/{roomID}/{userID}", signed(spec),
			func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (a templateAnswer, err error) {
				room, err := p.RoomID()
				if err != nil {
					return a, err
				}
				user, err := p.UserID()
				if err != nil {
					return a, err
				}
				versions := p.Query()["ver"]
				if len(versions) == 0 {
					versions = []string{"1"}
				}
				a.RoomVersion, a.Event, err = s.MakeMembership(ctx, c.Server, act, room, user, versions)
				return a, err
			})
	}
	makeRoute("join", "makeJoin")
	makeRoute("leave", "makeLeave")
	makeRoute("knock", "makeKnock")
	sendRoute := func(path, act, spec string, old bool, answer func(context.Context, matrix.Caller, httpx.Path, *rooms.Sent) (httpx.Appender, error)) {
		httpx.Handle(r, "PUT", path+"/{roomID}/{eventID}", signed(spec),
			func(ctx context.Context, c matrix.Caller, p httpx.Path, in json.RawMessage) (httpx.Appender, error) {
				room, err := p.RoomID()
				if err != nil {
					return nil, err
				}
				sent, err := s.AcceptMembership(ctx, c.Server, act, room, matrix.EventID(p.Var("eventID")), in)
				if err != nil {
					return nil, err
				}
				a, err := answer(ctx, c, p, sent)
				if old {
					a = oldForm{a}
				}
				return a, err
			})
	}
	joined := func(ctx context.Context, c matrix.Caller, p httpx.Path, sent *rooms.Sent) (httpx.Appender, error) {
		a, err := s.Admission(ctx, sent, c.Server, p.Query().Get("omit_members") == "true")
		return joinAnswer{a, c.Destination, sent.Event.Event}, err
	}
	gone := func(context.Context, matrix.Caller, httpx.Path, *rooms.Sent) (httpx.Appender, error) {
		return plain("{}"), nil
	}
	knocked := func(ctx context.Context, _ matrix.Caller, _ httpx.Path, sent *rooms.Sent) (httpx.Appender, error) {
		state, err := s.Stripped(ctx, sent.Room, sent.Event.Event)
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(map[string]any{"knock_room_state": state})
		return plain(raw), err
	}
	sendRoute("/_matrix/federation/v2/send_join", "join", "sendJoinV2", false, joined)
	sendRoute("/_matrix/federation/v1/send_join", "join", "sendJoinV1", true, joined)
	sendRoute("/_matrix/federation/v2/send_leave", "leave", "sendLeaveV2", false, gone)
	sendRoute("/_matrix/federation/v1/send_leave", "leave", "sendLeaveV1", true, gone)
	sendRoute("/_matrix/federation/v1/send_knock", "knock", "sendKnock", false, knocked)
	inviteRoutes(r, s)
}

// inviteRequest is an invitation with what the room shows of itself.
type inviteRequest struct {
	RoomVersion string            `json:"room_version"`
	Event       json.RawMessage   `json:"event"`
	State       []json.RawMessage `json:"invite_room_state"`
}

// inviteRoutes take invitations of our users. Spec: server-server-api/#inviting-to-a-room
func inviteRoutes(r *httpx.Router, s *rooms.Service) {
	accept := func(ctx context.Context, c matrix.Caller, p httpx.Path, in inviteRequest) (httpx.Appender, error) {
		room, err := p.RoomID()
		if err != nil {
			return nil, err
		}
		if in.RoomVersion == "" || len(in.Event) == 0 {
			return nil, matrix.MissingParam("An invitation needs room_version and event.")
		}
		e, err := s.AcceptInvite(ctx, c.Server, in.RoomVersion, room, matrix.EventID(p.Var("eventID")), in.Event, in.State)
		if err != nil {
			return nil, err
		}
		return plain(append(append([]byte(`{"event":`), e.JSON...), '}')), nil
	}
	httpx.Handle(r, "PUT", "/_matrix/federation/v2/invite/{roomID}/{eventID}", signed("sendInviteV2"), accept)
	httpx.Handle(r, "PUT", "/_matrix/federation/v1/invite/{roomID}/{eventID}", signed("sendInviteV1"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in json.RawMessage) (httpx.Appender, error) {
			var old struct {
				Unsigned struct {
					State []json.RawMessage `json:"invite_room_state"`
				} `json:"unsigned"`
			}
			_ = matrix.Decode(in, &old) // Why no error: what the room shows of itself may be missing
			// Spec: the first version is for rooms of versions 1 and 2, which differ in nothing that matters here.
			a, err := accept(ctx, c, p, inviteRequest{"1", in, old.Unsigned.State})
			if err != nil {
				return nil, err
			}
			return oldForm{a}, nil
		})
}

package clientapi

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// membershipRequest is what the membership routes have in common.
type membershipRequest struct {
	UserID matrix.UserID `json:"user_id"`
	Reason string        `json:"reason"`
	// Medium and Address are of an invitation by e-mail, which needs an identity server.
	Medium  string `json:"medium"`
	Address string `json:"address"`
}

// ownRequest is what someone says when he enters or leaves a room himself.
type ownRequest map[string]json.RawMessage

// change is the transition asked for. extra says that the other keys go into the membership event too, as clients expect of joins.
func (q ownRequest) change(room *rooms.Room, c matrix.Caller, extra bool) (rooms.MembershipChange, error) {
	m := rooms.MembershipChange{Room: room, Sender: c.User, Target: c.User}
	if raw, ok := q["reason"]; ok && json.Unmarshal(raw, &m.Reason) != nil {
		return m, matrix.BadJSON("reason must be text.")
	}
	if raw, ok := q["third_party_signed"]; ok {
		var signed struct {
			Sender, MXID, Token *string
			Signatures          map[string]map[string]string
		}
		if json.Unmarshal(raw, &signed) != nil || signed.Sender == nil || signed.MXID == nil || signed.Token == nil || signed.Signatures == nil {
			return m, matrix.BadJSON("third_party_signed must hold sender, mxid, token and signatures.")
		}
	}
	if extra {
		m.Extra = q
	}
	return m, nil
}

type act func(context.Context, rooms.MembershipChange) error

// roomMembership adds the routes that change who is in a room. Spec: client-server-api/#room-membership
func roomMembership(r *httpx.Router, d Deps) {
	s := d.Rooms
	own := func(name, operation string, class string, do act) {
		roomRoute(r, s, "POST", "/_matrix/client/v3/rooms/{roomID}/"+name,
			httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: class, Spec: operation, Writes: name != "leave"},
			func(ctx context.Context, c matrix.Caller, room *rooms.Room, _ httpx.Path, in ownRequest) (roomIDAnswer, error) {
				m, err := in.change(room, c, name == "join")
				if err != nil {
					return roomIDAnswer{}, err
				}
				return roomIDAnswer{room.ID()}, d.enter(ctx, c, m, name, do)
			})
	}
	other := func(name, operation string, class string, do act) {
		roomRoute(r, s, "POST", "/_matrix/client/v3/rooms/{roomID}/"+name,
			httpx.Route{Access: httpx.User, R0: true, Class: class, Spec: operation, Writes: true},
			func(ctx context.Context, c matrix.Caller, room *rooms.Room, _ httpx.Path, in membershipRequest) (httpx.Empty, error) {
				if in.UserID == "" && in.Medium != "" {
					return httpx.Empty{}, matrix.NewError(403, matrix.CodeThreepidDenied,
						"This server has no identity server: invite people by their Matrix id.")
				}
				if in.UserID == "" {
					return httpx.Empty{}, matrix.MissingParam("user_id says whom this is about.")
				}
				if _, err := matrix.ParseUserID(string(in.UserID)); err != nil {
					return httpx.Empty{}, err
				}
				m := rooms.MembershipChange{Room: room, Sender: c.User, Target: in.UserID, Reason: in.Reason}
				return httpx.Empty{}, do(ctx, m)
			})
	}
	own("join", "joinRoomById", "join", s.Join)
	own("leave", "leaveRoom", "", s.Leave)
	other("invite", "inviteUser", "invite", s.Invite)
	other("kick", "kick", "", s.Kick)
	other("ban", "ban", "", s.Ban)
	other("unban", "unban", "", s.Unban)
	byNameOrID(r, d, "join", "joinRoom", s.Join)
	byNameOrID(r, d, "knock", "knockRoom", s.Knock)
	roomRoute(r, s, "POST", "/_matrix/client/v3/rooms/{roomID}/forget", httpx.Route{Access: httpx.User, R0: true, Spec: "forgetRoom"},
		func(ctx context.Context, c matrix.Caller, room *rooms.Room, _ httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, s.Forget(ctx, room, c.User)
		})
	httpx.Handle(r, "GET", "/_matrix/client/v3/joined_rooms", httpx.Route{Access: httpx.User, R0: true, Spec: "getJoinedRooms"},
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (map[string][]matrix.RoomID, error) {
			ids, err := s.JoinedRooms(ctx, c.UserNID)
			return map[string][]matrix.RoomID{"joined_rooms": ids}, err
		})
}

// enter makes a transition of the caller's own; whoever joins a room that replaces another brings his settings along.
func (d Deps) enter(ctx context.Context, c matrix.Caller, m rooms.MembershipChange, name string, do act) error {
	if c.Guest && name == "join" {
		if err := d.guestMayJoin(ctx, m.Room); err != nil {
			return err
		}
	}
	if err := do(ctx, m); err != nil || name != "join" {
		return err
	}
	return d.inherit(ctx, c, m.Room)
}

// guestMayJoin lets guests into rooms that say so. Spec: client-server-api/#guest-access
func (d Deps) guestMayJoin(ctx context.Context, room *rooms.Room) error {
	now, err := d.Rooms.Current(ctx, room)
	if err != nil {
		return err
	}
	e, err := now.Get(ctx, matrix.StateTuple{Type: "m.room.guest_access"})
	if err != nil {
		return err
	}
	var content struct {
		Access string `json:"guest_access"`
	}
	if e == nil || json.Unmarshal(e.Content, &content) != nil || content.Access != "can_join" {
		return matrix.GuestForbidden()
	}
	return nil
}

// byNameOrID adds a route that takes a room id or an alias.
func byNameOrID(r *httpx.Router, d Deps, name, operation string, do act) {
	access := httpx.User
	if name == "join" {
		access = httpx.UserOrGuest
	}
	httpx.Handle(r, "POST", "/_matrix/client/v3/"+name+"/{roomIDOrAlias}",
		httpx.Route{Access: access, R0: true, Class: "join", Spec: operation, Writes: true},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in ownRequest) (roomIDAnswer, error) {
			room, err := roomNamed(ctx, d.Rooms, p.Var("roomIDOrAlias"))
			if err != nil {
				return roomIDAnswer{}, err
			}
			m, err := in.change(room, c, name == "join")
			if err != nil {
				return roomIDAnswer{}, err
			}
			return roomIDAnswer{room.ID()}, d.enter(ctx, c, m, name, do)
		})
}

func roomNamed(ctx context.Context, s *rooms.Service, name string) (*rooms.Room, error) {
	if strings.HasPrefix(name, "#") {
		alias, err := matrix.ParseRoomAlias(name)
		if err != nil {
			return nil, err
		}
		return s.ResolveAlias(ctx, alias)
	}
	id, err := matrix.ParseRoomID(name)
	if err != nil {
		return nil, err
	}
	return s.Room(ctx, id)
}

func isCode(err error, code string) bool {
	var e *matrix.Error
	return errors.As(err, &e) && e.Code == code
}

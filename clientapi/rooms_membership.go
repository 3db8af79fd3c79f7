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
	// The rest is of an invitation by address, which needs an identity server.
	IDServer string `json:"id_server"`
	IDToken  string `json:"id_access_token"`
	Medium   string `json:"medium"`
	Address  string `json:"address"`
}

// ownRequest is what someone says when he enters or leaves a room himself.
type ownRequest map[string]json.RawMessage

// entry is the transition asked for. extra says that the other keys go into the membership event too, as clients expect of joins.
func (q ownRequest) entry(room matrix.RoomID, via []matrix.ServerName, c matrix.Caller, extra bool) (rooms.Entry, error) {
	m := rooms.Entry{Room: room, User: c.User, Via: via}
	if raw, ok := q["reason"]; ok && matrix.Decode(raw, &m.Reason) != nil {
		return m, matrix.BadJSON("reason must be text.")
	}
	if raw, ok := q["third_party_signed"]; ok {
		var signed struct {
			Sender     *string                      `json:"sender"`
			MXID       *string                      `json:"mxid"`
			Token      *string                      `json:"token"`
			Signatures map[string]map[string]string `json:"signatures"`
		}
		if matrix.Decode(raw, &signed) != nil || signed.Sender == nil || signed.MXID == nil || signed.Token == nil || signed.Signatures == nil {
			return m, matrix.BadJSON("third_party_signed must hold sender, mxid, token and signatures.")
		}
	}
	if extra {
		m.Extra = q
	}
	return m, nil
}

type act func(context.Context, rooms.MembershipChange) error

// ownAct is a transition of one's own, in a room that may be elsewhere.
type ownAct func(context.Context, rooms.Entry) error

// roomMembership adds the routes that change who is in a room. Spec: client-server-api/#room-membership
func roomMembership(r *httpx.Router, d Deps) {
	s := d.Rooms
	own := func(name, operation string, class string, do ownAct) {
		httpx.Handle(r, "POST", "/_matrix/client/v3/rooms/{roomID}/"+name,
			httpx.Route{Access: httpx.UserOrGuest, R0: true, Class: class, Spec: operation, Writes: name != "leave"},
			func(ctx context.Context, c matrix.Caller, p httpx.Path, in ownRequest) (roomIDAnswer, error) {
				id, err := p.RoomID()
				if err != nil {
					return roomIDAnswer{}, err
				}
				m, err := in.entry(id, viaOf(p), c, name == "join")
				if err != nil {
					return roomIDAnswer{}, err
				}
				return roomIDAnswer{id}, d.enter(ctx, c, m, name, do)
			})
	}
	other := func(name, operation string, class string, do act) {
		roomRoute(r, s, "POST", "/_matrix/client/v3/rooms/{roomID}/"+name,
			httpx.Route{Access: httpx.User, R0: true, Class: class, Spec: operation, Writes: true},
			func(ctx context.Context, c matrix.Caller, room *rooms.Room, _ httpx.Path, in membershipRequest) (httpx.Empty, error) {
				if name == "invite" && in.UserID == "" && in.Medium != "" {
					a := rooms.AddressInvite{Server: in.IDServer, Token: in.IDToken, Medium: in.Medium, Address: in.Address, Reason: in.Reason}
					return httpx.Empty{}, s.InviteAddress(ctx, d.Identity, room, c.User, a)
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
	own("join", "joinRoomById", "join", s.JoinVia)
	own("leave", "leaveRoom", "", s.LeaveVia)
	other("invite", "inviteUser", "invite", s.Invite)
	other("kick", "kick", "", s.Kick)
	other("ban", "ban", "", s.Ban)
	other("unban", "unban", "", s.Unban)
	byNameOrID(r, d, "join", "joinRoom", s.JoinVia)
	byNameOrID(r, d, "knock", "knockRoom", s.KnockVia)
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
func (d Deps) enter(ctx context.Context, c matrix.Caller, m rooms.Entry, name string, do ownAct) error {
	if c.Guest && name == "join" {
		if err := d.guestMayJoin(ctx, m.Room); err != nil {
			return err
		}
	}
	if name == "join" {
		if err := d.takeProof(ctx, m); err != nil {
			return err
		}
	}
	if err := do(ctx, m); err != nil || name != "join" {
		return err
	}
	room, err := d.Rooms.Room(ctx, m.Room)
	if err != nil {
		return err
	}
	return d.inherit(ctx, c, room)
}

// takeProof makes the invitation that a proof of an identity server stands for, in a room that is here.
func (d Deps) takeProof(ctx context.Context, m rooms.Entry) error {
	raw, ok := m.Extra["third_party_signed"]
	if !ok {
		return nil
	}
	room, err := d.Rooms.Room(ctx, m.Room)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil // the servers in it know of the invitation
	}
	if err != nil {
		return err
	}
	return d.Rooms.TakeSigned(ctx, room, m.User, raw)
}

// guestMayJoin lets guests into those rooms of this server that say so. Spec: client-server-api/#guest-access
func (d Deps) guestMayJoin(ctx context.Context, id matrix.RoomID) error {
	room, err := d.Rooms.Room(ctx, id)
	if err != nil {
		return err
	}
	allowed, err := d.Rooms.GuestsAllowed(ctx, room)
	if err == nil && !allowed {
		err = matrix.GuestForbidden()
	}
	return err
}

// byNameOrID adds a route that takes a room id or an alias.
func byNameOrID(r *httpx.Router, d Deps, name, operation string, do ownAct) {
	access := httpx.User
	if name == "join" {
		access = httpx.UserOrGuest
	}
	httpx.Handle(r, "POST", "/_matrix/client/v3/"+name+"/{roomIDOrAlias}",
		httpx.Route{Access: access, R0: true, Class: "join", Spec: operation, Writes: true},
		func(ctx context.Context, c matrix.Caller, p httpx.Path, in ownRequest) (roomIDAnswer, error) {
			id, via, err := roomAnywhere(ctx, d.Rooms, c, p.Var("roomIDOrAlias"))
			if err != nil {
				return roomIDAnswer{}, err
			}
			m, err := in.entry(id, append(viaOf(p), via...), c, name == "join")
			if err != nil {
				return roomIDAnswer{}, err
			}
			return roomIDAnswer{id}, d.enter(ctx, c, m, name, do)
		})
}

// viaOf are the servers through which the client says that a room can be reached; server_name is the older name of via.
func viaOf(p httpx.Path) []matrix.ServerName {
	var out []matrix.ServerName
	for _, key := range [...]string{"via", "server_name"} {
		for _, name := range p.Query()[key] {
			out = append(out, matrix.ServerName(name))
		}
	}
	return out
}

// roomAnywhere finds the room that a client names by id or alias, known here or not, and for an alias the servers in it.
func roomAnywhere(ctx context.Context, s *rooms.Service, c matrix.Caller, name string) (matrix.RoomID, []matrix.ServerName, error) {
	if strings.HasPrefix(name, "#") {
		alias, err := matrix.ParseRoomAlias(name)
		if err != nil {
			return "", nil, err
		}
		return s.FindAlias(ctx, c.User.Server(), alias)
	}
	id, err := matrix.ParseRoomID(name)
	return id, nil, err
}

// roomNamed finds a room that is known here by its id or by an alias of ours.
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

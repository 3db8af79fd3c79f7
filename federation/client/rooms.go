package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"rempart/internal/matrix"
)

// path joins a base and escaped segments.
func path(base string, segments ...string) string {
	for _, s := range segments {
		base += "/" + url.PathEscape(s)
	}
	return base
}

const (
	v1 = "/_matrix/federation/v1/"
	v2 = "/_matrix/federation/v2/"
)

// Template is an event that a resident server proposes: the caller checks, completes, hashes and signs it.
type Template struct {
	RoomVersion string          `json:"room_version"` // "" means version 1
	Event       json.RawMessage `json:"event"`
}

// MakeJoin asks a resident server for a join event of a user, naming the room versions we know.
// Spec: server-server-api/#get_matrixfederationv1make_joinroomiduserid
func (c *Client) MakeJoin(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, user matrix.UserID, versions []string) (Template, error) {
	return c.template(ctx, from, to, "make_join", room, user, versions)
}

// MakeKnock asks for a knock event. Spec: server-server-api/#get_matrixfederationv1make_knockroomiduserid
func (c *Client) MakeKnock(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, user matrix.UserID, versions []string) (Template, error) {
	return c.template(ctx, from, to, "make_knock", room, user, versions)
}

// MakeLeave asks for an event by which an invite is rejected or a room left.
// Spec: server-server-api/#get_matrixfederationv1make_leaveroomiduserid
func (c *Client) MakeLeave(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, user matrix.UserID) (Template, error) {
	return c.template(ctx, from, to, "make_leave", room, user, nil)
}

func (c *Client) template(ctx context.Context, from, to matrix.ServerName, what string, room matrix.RoomID, user matrix.UserID, versions []string) (t Template, err error) {
	uri := path(v1+what, string(room), string(user))
	if len(versions) > 0 {
		uri += "?" + url.Values{"ver": versions}.Encode()
	}
	return t, c.call(ctx, from, to, get(uri).upTo(1<<20), &t)
}

// Joined is what a resident server answers to a join, but for the room's state and what it rests on, which are handed on.
type Joined struct {
	Event          json.RawMessage     `json:"event"` // the join as the room has it, signed by others too; may be absent
	MembersOmitted bool                `json:"members_omitted"`
	Servers        []matrix.ServerName `json:"servers_in_room"`
}

// SendJoin hands in a join. omitMembers allows a partial answer. take is called with each event of the room's state before the join and of its
// auth chain as it comes, in the order in which the peer tells them; it may be nil.
// Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid
func (c *Client) SendJoin(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, event []byte, omitMembers bool,
	take func(state bool, event json.RawMessage) error) (*Joined, error) {
	uri := path(v2+"send_join", string(room), string(id))
	if omitMembers {
		uri += "?omit_members=true"
	}
	return c.join(ctx, from, to, put(uri, event).upTo(joinAnswer).within(joinTime), take)
}

// SendLeave hands in a leave event. Spec: server-server-api/#put_matrixfederationv2send_leaveroomideventid
func (c *Client) SendLeave(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, event []byte) error {
	var ignored json.RawMessage
	return c.call(ctx, from, to, put(path(v2+"send_leave", string(room), string(id)), event), &ignored)
}

// SendKnock hands in a knock and gets the room's stripped state.
// Spec: server-server-api/#put_matrixfederationv1send_knockroomideventid
func (c *Client) SendKnock(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, event []byte) ([]json.RawMessage, error) {
	var answer struct {
		State []json.RawMessage `json:"knock_room_state"`
	}
	err := c.call(ctx, from, to, put(path(v1+"send_knock", string(room), string(id)), event), &answer)
	return answer.State, err
}

// Invitation is an invite on its way to the invited user's server.
type Invitation struct {
	RoomVersion string            `json:"room_version"`
	Event       json.RawMessage   `json:"event"`
	State       []json.RawMessage `json:"invite_room_state"`
}

// Invite hands an invite to the server of the invited user and gets the event with that server's signature. Servers that do
// not know the second version of the operation are asked by the first, for the room versions that it was made for.
// Spec: server-server-api/#put_matrixfederationv2inviteroomideventid
func (c *Client) Invite(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, i Invitation) (json.RawMessage, error) {
	if i.State == nil {
		i.State = []json.RawMessage{}
	}
	body, err := json.Marshal(i)
	if err != nil {
		return nil, fmt.Errorf("encode invite: %w", err)
	}
	var answer struct {
		Event json.RawMessage `json:"event"`
	}
	err = c.call(ctx, from, to, put(path(v2+"invite", string(room), string(id)), body).within(longTime), &answer)
	if e, ok := AsRemote(err); ok && unknownOperation(e) && (i.RoomVersion == "1" || i.RoomVersion == "2") {
		return c.inviteV1(ctx, from, to, room, id, i)
	}
	return answer.Event, err
}

// unknownOperation reports whether a server refused because it does not have the operation.
func unknownOperation(e *RemoteError) bool {
	return (e.Status == 404 || e.Status == 400 || e.Status == 405) && (e.Err.Code == "" || e.Err.Code == matrix.CodeUnrecognized)
}

// inviteV1 is the first version, whose answer is a pair of status and body.
// Spec: server-server-api/#put_matrixfederationv1inviteroomideventid
func (c *Client) inviteV1(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, id matrix.EventID, i Invitation) (json.RawMessage, error) {
	var event map[string]json.RawMessage
	if err := matrix.Decode(i.Event, &event); err != nil {
		return nil, fmt.Errorf("encode invite: %w", err)
	}
	unsigned, err := json.Marshal(map[string]any{"invite_room_state": i.State})
	if err != nil {
		return nil, fmt.Errorf("encode invite: %w", err)
	}
	event["unsigned"] = unsigned
	body, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("encode invite: %w", err)
	}
	var pair []json.RawMessage
	if err := c.call(ctx, from, to, put(path(v1+"invite", string(room), string(id)), body).within(longTime), &pair); err != nil {
		return nil, err
	}
	var answer struct {
		Event json.RawMessage `json:"event"`
	}
	if len(pair) != 2 || matrix.Decode(pair[1], &answer) != nil {
		return nil, fmt.Errorf("ask %s: %w", to, errNotJSON)
	}
	return answer.Event, nil
}

// PublicRooms asks for the published rooms of a server; query is the request as clients make it, JSON.
// Spec: server-server-api/#post_matrixfederationv1publicrooms
func (c *Client) PublicRooms(ctx context.Context, from, to matrix.ServerName, query []byte) (answer json.RawMessage, err error) {
	return answer, c.call(ctx, from, to, post(v1+"publicRooms", query), &answer)
}

// Hierarchy asks for a space's room and children. Spec: server-server-api/#get_matrixfederationv1hierarchyroomid
func (c *Client) Hierarchy(ctx context.Context, from, to matrix.ServerName, room matrix.RoomID, suggestedOnly bool) (answer json.RawMessage, err error) {
	uri := path(v1+"hierarchy", string(room)) + "?suggested_only=" + strconv.FormatBool(suggestedOnly)
	return answer, c.call(ctx, from, to, get(uri), &answer)
}

package signal

import (
	"context"
	"encoding/json"
	"net/http"

	"rempart/core/calls"
	"rempart/internal/matrix"
)

// homeRequest asks one's own homeserver for a token, of its media server or of another server's. MSC4195
type homeRequest struct {
	Server string `json:"server_name"`
	URL    string `json:"url"`
	Room   string `json:"room_id"`
	Slot   string `json:"slot_id"`
	Member string `json:"member_id"`
}

// peerRequest is what a homeserver asks another for its user. MSC4195
type peerRequest struct {
	URL    string `json:"url"`
	Room   string `json:"room_id"`
	Slot   string `json:"slot_id"`
	Member string `json:"member_id"`
	User   string `json:"user_id"`
}

type jwtAnswer struct {
	JWT string `json:"jwt"`
}

// home gives a token to one of our users, ours or one that another server gives.
func (d Deps) home(ctx context.Context, c matrix.Caller, in homeRequest) (json.RawMessage, error) {
	if in.Room == "" || in.Member == "" || in.URL == "" {
		return nil, matrix.MissingParam("url, room_id, slot_id and member_id are needed.")
	}
	server := matrix.ServerName(in.Server)
	if server == "" || d.People.Local(server) {
		answer, err := d.own(ctx, in.URL, in.Room, in.Slot, in.Member, c.User, c.Device)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer) //nolint:gosec // the token is what was asked for
	}
	if _, err := matrix.ParseServerName(in.Server); err != nil {
		return nil, matrix.InvalidParam("server_name is no server name.")
	}
	if d.Peers == nil {
		return nil, matrix.Forbidden("This server does not talk to " + in.Server + ".")
	}
	body, err := json.Marshal(peerRequest{in.URL, in.Room, in.Slot, in.Member, string(c.User)})
	if err != nil {
		return nil, err
	}
	answer, err := d.Peers.CallToken(ctx, c.Server, server, body)
	if err != nil && !matrix.HasCode(err, matrix.CodeForbidden) {
		return nil, matrix.NewError(http.StatusBadGateway, matrix.CodeUnknown, in.Server+" gave no token.")
	}
	return answer, err
}

// peer gives a token to a user of the server that asks.
func (d Deps) peer(ctx context.Context, c matrix.Caller, in peerRequest) (jwtAnswer, error) {
	user, err := matrix.ParseUserID(in.User)
	if err != nil || user.Server() != c.Server {
		return jwtAnswer{}, matrix.Forbidden("A server asks for its own users only.")
	}
	return d.own(ctx, in.URL, in.Room, in.Slot, in.Member, user, "")
}

// own gives a token of our media server.
func (d Deps) own(ctx context.Context, address, room, slot, member string, user matrix.UserID, device matrix.DeviceID) (jwtAnswer, error) {
	if address != d.URL {
		return jwtAnswer{}, matrix.InvalidParam("url is not that of this server's calls.")
	}
	if member == "" {
		return jwtAnswer{}, matrix.MissingParam("member_id is needed.")
	}
	p, err := participant(room, slot, calls.MemberIdentity(user, member), user, device)
	if err != nil {
		return jwtAnswer{}, err
	}
	t, err := d.token(ctx, p)
	return jwtAnswer{t.JWT}, err
}

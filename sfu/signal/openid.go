package signal

import (
	"context"
	"net/http"

	"rempart/core/calls"
	"rempart/internal/matrix"
	"rempart/sfu"
)

// openIDToken is what a client got from its own server to show to others. Spec: client-server-api/#openid
type openIDToken struct {
	Token  string `json:"access_token"`
	Server string `json:"matrix_server_name"`
}

// legacyRequest is the older form of asking. Fields that hand over delayed events are not used: see the package's comment.
type legacyRequest struct {
	Room   string      `json:"room"`
	OpenID openIDToken `json:"openid_token"`
	Device string      `json:"device_id"`
}

// serviceRequest is the newer form.
type serviceRequest struct {
	Room   string      `json:"room_id"`
	Slot   string      `json:"slot_id"`
	OpenID openIDToken `json:"openid_token"`
	Member struct {
		ID     string `json:"id"`
		User   string `json:"claimed_user_id"`
		Device string `json:"claimed_device_id"`
	} `json:"member"`
}

func (d Deps) legacy(ctx context.Context, in legacyRequest) (sfu.Token, error) {
	if in.Room == "" || in.OpenID.Token == "" || in.Device == "" {
		return sfu.Token{}, matrix.MissingParam("room, openid_token and device_id are needed.")
	}
	user, err := d.who(ctx, in.OpenID)
	if err != nil {
		return sfu.Token{}, err
	}
	device := matrix.DeviceID(in.Device)
	p, err := participant(in.Room, calls.DefaultSlot, calls.LegacyIdentity(user, device), user, device)
	if err != nil {
		return sfu.Token{}, err
	}
	return d.token(ctx, p)
}

func (d Deps) service(ctx context.Context, in serviceRequest) (sfu.Token, error) {
	if in.Room == "" || in.OpenID.Token == "" || in.Member.ID == "" || in.Member.Device == "" {
		return sfu.Token{}, matrix.MissingParam("room_id, slot_id, openid_token and member with id and claimed_device_id are needed.")
	}
	user, err := d.who(ctx, in.OpenID)
	if err != nil {
		return sfu.Token{}, err
	}
	if matrix.UserID(in.Member.User) != user {
		return sfu.Token{}, matrix.Forbidden("The OpenID token is not that of claimed_user_id.")
	}
	device := matrix.DeviceID(in.Member.Device)
	p, err := participant(in.Room, in.Slot, calls.Identity(user, device, in.Member.ID), user, device)
	if err != nil {
		return sfu.Token{}, err
	}
	return d.token(ctx, p)
}

// token gives one; people of other servers may receive only, unless the configuration says otherwise.
func (d Deps) token(ctx context.Context, p calls.Participant) (sfu.Token, error) {
	return d.Tokens.Token(ctx, sfu.Request{Participant: p, Publish: d.RemotePublish || d.People.Local(p.User.Server())})
}

// who asks whose token this is: this server, or the one that is named.
func (d Deps) who(ctx context.Context, t openIDToken) (matrix.UserID, error) {
	server, err := matrix.ParseServerName(t.Server)
	if err != nil {
		return "", matrix.InvalidParam("openid_token: matrix_server_name is no server name.")
	}
	if d.People.Local(server) {
		user, err := d.People.OpenIDUser(ctx, t.Token)
		if err == nil && user.Server() != server {
			return "", matrix.Forbidden("The OpenID token is that of another server.")
		}
		return user, err
	}
	if d.Peers == nil {
		return "", matrix.Forbidden("This server does not talk to " + t.Server + ".")
	}
	user, err := d.Peers.OpenIDUserinfo(ctx, server, t.Token)
	if err != nil && !matrix.HasCode(err, matrix.CodeForbidden) {
		return "", matrix.NewError(http.StatusUnauthorized, matrix.CodeUnknownToken, "The server does not vouch for this OpenID token.")
	}
	return user, err
}

package client

import (
	"context"
	"encoding/json"
	"net/url"

	"rempart/internal/matrix"
)

// QueryProfile asks for a user's profile, or for one field of it. Spec: server-server-api/#get_matrixfederationv1queryprofile
func (c *Client) QueryProfile(ctx context.Context, from, to matrix.ServerName, user matrix.UserID, field string) (answer json.RawMessage, err error) {
	q := url.Values{"user_id": {string(user)}}
	if field != "" {
		q.Set("field", field)
	}
	return answer, c.call(ctx, from, to, get(v1+"query/profile?"+q.Encode()).upTo(256<<10), &answer)
}

// QueryDirectory asks for the room of an alias, and for servers that are in it.
// Spec: server-server-api/#get_matrixfederationv1querydirectory
func (c *Client) QueryDirectory(ctx context.Context, from, to matrix.ServerName, alias matrix.RoomAlias) (matrix.RoomID, []matrix.ServerName, error) {
	var answer struct {
		Room    matrix.RoomID       `json:"room_id"`
		Servers []matrix.ServerName `json:"servers"`
	}
	q := url.Values{"room_alias": {string(alias)}}
	if err := c.call(ctx, from, to, get(v1+"query/directory?"+q.Encode()), &answer); err != nil {
		return "", nil, err
	}
	room, err := matrix.ParseRoomID(string(answer.Room))
	return room, answer.Servers, err
}

// UserDevices fetches the device list of a user, in the operation's own JSON. Spec: server-server-api/#get_matrixfederationv1userdevicesuserid
func (c *Client) UserDevices(ctx context.Context, from, to matrix.ServerName, user matrix.UserID) (answer json.RawMessage, err error) {
	return answer, c.call(ctx, from, to, get(path(v1+"user/devices", string(user))), &answer)
}

// QueryKeys asks for the device keys of users; body and answer are the operation's own JSON.
// Spec: server-server-api/#post_matrixfederationv1userkeysquery
func (c *Client) QueryKeys(ctx context.Context, from, to matrix.ServerName, body []byte) (answer json.RawMessage, err error) {
	return answer, c.call(ctx, from, to, post(v1+"user/keys/query", body), &answer)
}

// ClaimKeys claims one-time keys; body and answer are the operation's own JSON. It is never sent twice, since what a lost answer
// held is gone. Spec: server-server-api/#post_matrixfederationv1userkeysclaim
func (c *Client) ClaimKeys(ctx context.Context, from, to matrix.ServerName, body []byte) (answer json.RawMessage, err error) {
	q := post(v1+"user/keys/claim", body)
	q.once = true
	return answer, c.call(ctx, from, to, q, &answer)
}

// OpenIDUserinfo asks a server whose OpenID token this is. Spec: server-server-api/#get_matrixfederationv1openiduserinfo
func (c *Client) OpenIDUserinfo(ctx context.Context, to matrix.ServerName, token string) (matrix.UserID, error) {
	var answer struct {
		Sub string `json:"sub"`
	}
	q := get(v1 + "openid/userinfo?" + url.Values{"access_token": {token}}.Encode()).upTo(smallAnswer)
	q.unsigned = true
	if err := c.call(ctx, "", to, q, &answer); err != nil {
		return "", err
	}
	user, err := matrix.ParseUserID(answer.Sub)
	if err == nil && user.Server() != to {
		return "", matrix.Forbidden("The server vouches for a user of another one.")
	}
	return user, err
}

// Version asks for name and version of a server's software. Spec: server-server-api/#get_matrixfederationv1version
func (c *Client) Version(ctx context.Context, to matrix.ServerName) (name, version string, err error) {
	var answer struct {
		Server struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"server"`
	}
	q := get(v1 + "version").upTo(smallAnswer)
	q.unsigned = true
	err = c.call(ctx, "", to, q, &answer)
	return answer.Server.Name, answer.Server.Version, err
}

// ServerKeys fetches the keys that a server publishes, to be verified by the caller.
// Spec: server-server-api/#get_matrixkeyv2server
func (c *Client) ServerKeys(ctx context.Context, to matrix.ServerName) (answer json.RawMessage, err error) {
	q := get("/_matrix/key/v2/server").upTo(smallAnswer)
	q.unsigned = true
	return answer, c.call(ctx, "", to, q, &answer)
}

package peers

import (
	"context"
	"encoding/json"

	"rempart/core"
	"rempart/internal/matrix"
)

var (
	_ core.KeyPeers     = (*Peers)(nil)
	_ core.ProfilePeers = (*Peers)(nil)
)

// QueryKeys asks for keys of users.
func (p *Peers) QueryKeys(ctx context.Context, from, to matrix.ServerName, body []byte) (json.RawMessage, error) {
	return p.client.QueryKeys(ctx, from, to, body)
}

// ClaimKeys claims one-time keys.
func (p *Peers) ClaimKeys(ctx context.Context, from, to matrix.ServerName, body []byte) (json.RawMessage, error) {
	return p.client.ClaimKeys(ctx, from, to, body)
}

// DeviceList fetches the device list of a user.
func (p *Peers) DeviceList(ctx context.Context, from, to matrix.ServerName, user matrix.UserID) (json.RawMessage, error) {
	return p.client.UserDevices(ctx, from, to, user)
}

// Profile asks for a user's profile or one field of it.
func (p *Peers) Profile(ctx context.Context, from, to matrix.ServerName, user matrix.UserID, field string) (json.RawMessage, error) {
	return p.client.QueryProfile(ctx, from, to, user, field)
}

// PublicRooms asks for published rooms.
func (p *Peers) PublicRooms(ctx context.Context, from, to matrix.ServerName, query []byte) (json.RawMessage, error) {
	return p.client.PublicRooms(ctx, from, to, query)
}

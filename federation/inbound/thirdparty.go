package inbound

import (
	"context"
	"encoding/json"

	"rempart/core/rooms"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// maxBound bounds the invitations of one address that are taken at once.
const maxBound = 50

// bound says that an address outside of Matrix is a user's of ours, and which invitations wait for it.
type bound struct {
	User    matrix.UserID `json:"mxid"`
	Invites []struct {
		Room   matrix.RoomID   `json:"room_id"`
		Sender matrix.UserID   `json:"sender"`
		Name   string          `json:"display_name"`
		Signed json.RawMessage `json:"signed"`
	} `json:"invites"`
}

// thirdPartyRoutes take invitations by addresses outside of Matrix. Spec: server-server-api/#third-party-invites
func thirdPartyRoutes(r *httpx.Router, d Deps) {
	httpx.Handle(r, "PUT", "/_matrix/federation/v1/exchange_third_party_invite/{roomID}", signed("exchangeThirdPartyInvite"),
		func(ctx context.Context, c matrix.Caller, p httpx.Path, x rooms.ThirdPartyExchange) (a httpx.Empty, err error) {
			room, err := p.RoomID()
			if err != nil {
				return a, err
			}
			return a, d.Rooms.ExchangeThirdParty(ctx, c.Server, room, &x)
		})
	// Why nothing is asked of other servers: whoever tells of an address is not known, so that he could have us ask anybody.
	httpx.Handle(r, "PUT", "/_matrix/federation/v1/3pid/onbind", open("onBindThirdPartyIdentifier"),
		func(ctx context.Context, _ matrix.Caller, _ httpx.Path, b bound) (a httpx.Empty, err error) {
			if !d.Users.Local(b.User.Server()) || len(b.Invites) > maxBound {
				return a, matrix.Forbidden("The user is not one of this server.")
			}
			for _, i := range b.Invites {
				x := rooms.ThirdPartyExchange{Type: "m.room.member", RoomID: i.Room, Sender: i.Sender, StateKey: b.User}
				x.Content.Membership = "invite"
				if x.Content.Invite, err = json.Marshal(map[string]any{"display_name": i.Name, "signed": i.Signed}); err != nil {
					return a, err
				}
				// Why no error is told: who asks need not learn which rooms and invitations there are.
				_ = d.Rooms.ExchangeThirdParty(ctx, "", i.Room, &x)
			}
			return a, nil
		})
	httpx.Handle(r, "POST", "/_matrix/policy/v1/sign", signed("askPolicyServerToSign"),
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, event json.RawMessage) (map[matrix.ServerName]map[string]string, error) {
			return d.Rooms.RecommendEvent(ctx, c.Server, c.Destination, event)
		})
}

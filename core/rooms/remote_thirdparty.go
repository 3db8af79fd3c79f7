package rooms

import (
	"context"
	"encoding/json"

	"rempart/internal/matrix"
)

// ThirdPartyExchange is an invitation by an address outside of Matrix, once it is known whose address it is.
// Spec: server-server-api/#third-party-invites
type ThirdPartyExchange struct {
	Type     string        `json:"type"`
	RoomID   matrix.RoomID `json:"room_id"`
	Sender   matrix.UserID `json:"sender"`
	StateKey matrix.UserID `json:"state_key"`
	Content  struct {
		Membership string          `json:"membership"`
		Invite     json.RawMessage `json:"third_party_invite"`
	} `json:"content"`
}

// maxThirdParty bounds what an invitation says of its address, in bytes.
const maxThirdParty = 8 << 10

// ExchangeThirdParty makes an invitation by an address one of the user whose address it is: in the name of our user who made it, and
// only with the proof that the rules of the room ask for. Another server asks for it, or "" where it is our own.
// Spec: server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid
//
//nolint:gocyclo // the checks of the specification, one after the other
func (s *Service) ExchangeThirdParty(ctx context.Context, origin matrix.ServerName, id matrix.RoomID, x *ThirdPartyExchange) error {
	if x.Type != "m.room.member" || x.RoomID != id || x.Content.Membership != "invite" || len(x.Content.Invite) > maxThirdParty {
		return matrix.InvalidParam("The event is no invitation to this room.")
	}
	if origin != "" && x.StateKey.Server() != origin {
		return matrix.Forbidden("The invited user is not one of your server.")
	}
	var invite struct {
		Name   string `json:"display_name"`
		Signed struct {
			User  matrix.UserID `json:"mxid"`
			Token string        `json:"token"`
		} `json:"signed"`
	}
	if matrix.Decode(x.Content.Invite, &invite) != nil || invite.Signed.User != x.StateKey || invite.Signed.Token == "" {
		return matrix.InvalidParam("The invitation does not say who it is for.")
	}
	r, here, err := s.standsIn(ctx, id)
	if err == nil && !here {
		err = matrix.NotFound("This server is not in the room.")
	}
	if err != nil {
		return err
	}
	if origin != "" {
		if ok, err := s.Admits(ctx, r, origin); err != nil || !ok {
			return unlessNil(err, matrix.Forbidden("Your server is kept out of this room by its access list."))
		}
	}
	if !s.isOurs(x.Sender.Server()) {
		return matrix.Forbidden("The invitation was not made by a user of this server.")
	}
	v, err := s.Current(ctx, r)
	if err != nil {
		return err
	}
	asked, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.third_party_invite", Key: invite.Signed.Token})
	if err == nil && (asked == nil || asked.Sender != x.Sender) {
		err = matrix.Forbidden("There is no such invitation, or no more.")
	}
	if err != nil {
		return err
	}
	content, err := json.Marshal(map[string]any{"membership": "invite", "third_party_invite": x.Content.Invite})
	if err != nil {
		return err
	}
	user := string(x.StateKey)
	d := Draft{Sender: x.Sender, Type: "m.room.member", StateKey: &user, Content: content}
	if !s.isOurs(x.StateKey.Server()) {
		_, err = s.inviteElsewhere(ctx, r, d)
		return err
	}
	if err := s.admitted(ctx, id); err != nil {
		return err
	}
	if err := s.mayInvite(ctx, d.Sender, x.StateKey); err != nil {
		return err
	}
	_, err = s.Compose(ctx, r, func(*View) ([]Draft, error) { return []Draft{d}, nil })
	return err
}

func unlessNil(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

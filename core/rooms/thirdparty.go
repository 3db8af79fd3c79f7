package rooms

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// AddressInvite asks somebody in by an address outside of Matrix.
// Spec: client-server-api/#post_matrixclientv3roomsroomidinvite-1
type AddressInvite struct {
	Server  string `json:"id_server"`
	Token   string `json:"id_access_token"` // of the inviter at the identity server
	Medium  string `json:"medium"`
	Address string `json:"address"`
	Reason  string `json:"reason"`
}

// Check refuses what cannot be asked of an identity server, nil being none.
func (a *AddressInvite) Check(ids core.IdentityServer) error {
	switch {
	case ids == nil:
		return matrix.NewError(http.StatusForbidden, matrix.CodeThreepidDenied, "This server has no identity server: invite people by their Matrix id.").
			French("Ce serveur n'a pas de serveur d'identité : invitez les gens par leur identifiant Matrix.")
	case a.Server == "" || a.Token == "" || a.Medium == "" || a.Address == "":
		return matrix.MissingParam("An invitation by address needs id_server, id_access_token, medium and address.")
	case !ids.Is(a.Server):
		return matrix.NewError(http.StatusForbidden, matrix.CodeServerNotTrusted, "This server does not speak to that identity server.").
			French("Ce serveur ne parle pas à ce serveur d'identité.")
	case a.Medium != "email":
		return matrix.NewError(http.StatusBadRequest, matrix.CodeThreepidMediumNotSupported, "People are invited by e-mail addresses only.").
			French("On n'invite que par adresse électronique.")
	case len(a.Address) > 500:
		return matrix.InvalidParam("The address is too long.")
	}
	return nil
}

// InviteAddress invites whoever has an address, or leaves an invitation for who will prove to have it.
// Spec: client-server-api/#third-party-invites
func (s *Service) InviteAddress(ctx context.Context, ids core.IdentityServer, room *Room, from matrix.UserID, a AddressInvite) error {
	if err := a.Check(ids); err != nil {
		return err
	}
	v, err := s.Current(ctx, room)
	if err != nil {
		return err
	}
	// Why before anybody is asked: who may not invite must not learn whose an address is, nor have letters written.
	auth, err := v.AuthState(ctx, from, "m.room.third_party_invite", new(string), json.RawMessage("{}"))
	if err != nil {
		return err
	}
	if !authrules.MayInvite(auth, from) {
		return matrix.Forbidden("You may not invite people to this room.").French("Vous ne pouvez pas inviter dans ce salon.")
	}
	address := strings.ToLower(a.Address)
	user, err := ids.Lookup(ctx, a.Token, a.Medium, address)
	if err != nil {
		return err
	}
	if user != "" {
		return s.Invite(ctx, MembershipChange{Room: room, Sender: from, Target: user, Reason: a.Reason})
	}
	about, err := s.letterAbout(ctx, v, from)
	if err != nil {
		return err
	}
	about["medium"], about["address"] = a.Medium, address
	stored, err := ids.StoreInvite(ctx, a.Token, about)
	if err != nil {
		return err
	}
	content, err := json.Marshal(map[string]any{
		"display_name": stored.Name, "public_key": stored.Keys[0].Key, "key_validity_url": stored.Keys[0].Validity, "public_keys": stored.Keys,
	})
	if err != nil {
		return err
	}
	d := Draft{Sender: from, Type: "m.room.third_party_invite", StateKey: &stored.Token, Content: content}
	_, err = s.Compose(ctx, room, func(*View) ([]Draft, error) { return []Draft{d}, nil })
	return err
}

// letterAbout is what the letter may say of the room and of who invites.
func (s *Service) letterAbout(ctx context.Context, v *View, from matrix.UserID) (map[string]string, error) {
	about := map[string]string{"room_id": string(v.room.id), "sender": string(from)}
	for _, f := range [...]struct{ typ, key, field, name string }{
		{"m.room.name", "", "name", "room_name"}, {"m.room.canonical_alias", "", "alias", "room_alias"},
		{"m.room.avatar", "", "url", "room_avatar_url"}, {"m.room.join_rules", "", "join_rule", "room_join_rules"},
		{"m.room.create", "", "type", "room_type"},
		{"m.room.member", string(from), "displayname", "sender_display_name"}, {"m.room.member", string(from), "avatar_url", "sender_avatar_url"},
	} {
		e, err := v.Get(ctx, matrix.StateTuple{Type: f.typ, Key: f.key})
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		var content map[string]json.RawMessage
		var value string
		if matrix.Decode(e.Content, &content) == nil && matrix.Decode(content[f.field], &value) == nil && value != "" {
			about[f.name] = value
		}
	}
	return about, nil
}

// TakeSigned makes an invitation by address one of the user who brings the proof, signed by the identity server, that the address is his.
// Spec: client-server-api/#post_matrixclientv3roomsroomidjoin
func (s *Service) TakeSigned(ctx context.Context, room *Room, user matrix.UserID, proof json.RawMessage) error {
	var signed struct {
		User  matrix.UserID `json:"mxid"`
		Token string        `json:"token"`
	}
	if matrix.Decode(proof, &signed) != nil || signed.User != user {
		return matrix.Forbidden("The invitation is for another user.").French("L'invitation est pour quelqu'un d'autre.")
	}
	v, err := s.Current(ctx, room)
	if err != nil {
		return err
	}
	if was, err := v.Membership(ctx, user); err != nil || was == "join" || was == "invite" {
		return err
	}
	asked, err := v.Get(ctx, matrix.StateTuple{Type: "m.room.third_party_invite", Key: signed.Token})
	if err == nil && asked == nil {
		err = matrix.Forbidden("There is no such invitation, or no more.").French("Cette invitation n'existe pas, ou plus.")
	}
	if err != nil {
		return err
	}
	var about struct {
		Name string `json:"display_name"`
	}
	_ = matrix.Decode(asked.Content, &about) // a name of another type is none
	x := &ThirdPartyExchange{Type: "m.room.member", RoomID: room.id, Sender: asked.Sender, StateKey: user}
	x.Content.Membership = "invite"
	if x.Content.Invite, err = json.Marshal(map[string]any{"display_name": about.Name, "signed": proof}); err != nil {
		return err
	}
	return s.ExchangeThirdParty(ctx, "", room.id, x)
}

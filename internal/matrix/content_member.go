package matrix

import "encoding/json"

// MemberContent is the content of m.room.member. Spec: client-server-api/#mroommember
type MemberContent struct {
	Membership  string // empty when absent or not a string
	DisplayName string
	AvatarURL   string
	Reason      string
	IsDirect    bool
	// HasAuthorisedVia tells that join_authorised_via_users_server is there, in whatever form.
	HasAuthorisedVia bool
	AuthorisedVia    UserID // join_authorised_via_users_server, when it is a string
	// ThirdPartyInvite is there when content has third_party_invite, in whatever form.
	ThirdPartyInvite *ThirdPartyInvite
}

// ThirdPartyInvite is third_party_invite of an invite. Spec: client-server-api/#mroommember
type ThirdPartyInvite struct {
	DisplayName string
	Signed      json.RawMessage // canonical JSON of "signed"; nil when it is not an object
	MXID        UserID
	Token       string
}

// MembershipContent parses the content of a member event; the error tells that membership is missing or not a
// string. Other events have the zero content.
func (e *Event) MembershipContent() (MemberContent, error) {
	if e.Type != "m.room.member" {
		return MemberContent{}, nil
	}
	return e.memo.member.get(e.Content, ParseMemberContent)
}

// Membership is content.membership of a member event; empty for all else.
func (e *Event) Membership() string {
	c, _ := e.MembershipContent()
	return c.Membership
}

// ParseMemberContent reads canonical member content.
func ParseMemberContent(content json.RawMessage) (c MemberContent, err error) {
	m := membersOf(content)
	found := false
	for k, v, ok := m.next(); ok; k, v, ok = m.next() {
		switch string(k) {
		case "membership":
			c.Membership, found = text(v)
		case "displayname":
			c.DisplayName, _ = text(v)
		case "avatar_url":
			c.AvatarURL, _ = text(v)
		case "reason":
			c.Reason, _ = text(v)
		case "is_direct":
			c.IsDirect = string(v) == "true"
		case "join_authorised_via_users_server":
			via, _ := text(v)
			c.HasAuthorisedVia, c.AuthorisedVia = true, UserID(via)
		case "third_party_invite":
			c.ThirdPartyInvite = parseThirdPartyInvite(v)
		}
	}
	if !found || m.bad {
		return c, BadJSON("The member event has no membership.")
	}
	return c, nil
}

func parseThirdPartyInvite(raw []byte) *ThirdPartyInvite {
	t := &ThirdPartyInvite{}
	t.DisplayName, _ = text(find(raw, "display_name"))
	if signed := find(raw, "signed"); isObject(signed) {
		mxid, _ := text(find(signed, "mxid"))
		t.Signed, t.MXID = signed, UserID(mxid)
		t.Token, _ = text(find(signed, "token"))
	}
	return t
}

// ThirdPartyInviteContent is the content of m.room.third_party_invite.
// Spec: client-server-api/#mroomthird_party_invite
type ThirdPartyInviteContent struct {
	DisplayName    string
	KeyValidityURL string
	PublicKeys     []string // base64, public_key first, then those of public_keys
}

// ThirdPartyInviteContent parses the content of an m.room.third_party_invite event.
func (e *Event) ThirdPartyInviteContent() (ThirdPartyInviteContent, error) {
	return e.memo.invite.get(e.Content, parseThirdPartyInviteContent)
}

func parseThirdPartyInviteContent(content json.RawMessage) (c ThirdPartyInviteContent, err error) {
	c.DisplayName, _ = text(find(content, "display_name"))
	c.KeyValidityURL, _ = text(find(content, "key_validity_url"))
	if key, ok := text(find(content, "public_key")); ok {
		c.PublicKeys = append(c.PublicKeys, key)
	}
	list := elementsOf(find(content, "public_keys"))
	for item, ok := list.next(); ok; item, ok = list.next() {
		if key, ok := text(find(item, "public_key")); ok {
			c.PublicKeys = append(c.PublicKeys, key)
		}
	}
	return c, nil
}

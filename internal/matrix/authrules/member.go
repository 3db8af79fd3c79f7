package authrules

import (
	"rempart/internal/matrix"
)

// Memberships. Spec: client-server-api/#mroommember
const (
	join   = "join"
	invite = "invite"
	leave  = "leave"
	ban    = "ban"
	knock  = "knock"
)

// checkMember applies the rules for m.room.member. Spec: rooms/v11/#authorisation-rules, rule 4
func (c *check) checkMember() error {
	membership := c.e.Membership()
	if c.e.StateKey == nil || membership == "" {
		return forbid("a membership needs a state key and a membership")
	}
	content, err := c.e.MembershipContent()
	if err != nil {
		return forbid("the membership's content has the wrong form")
	}
	// Rule 4.2; the signature itself is checked with the event's others.
	if c.v.RestrictedJoins && content.HasAuthorisedVia {
		if _, err := matrix.ParseUserID(string(content.AuthorisedVia)); err != nil {
			return forbid("join_authorised_via_users_server is no user id")
		}
	}
	target := *c.e.StateKey
	switch membership {
	case join:
		return c.checkJoin(target, content)
	case invite:
		return c.checkInvite(target, content)
	case leave:
		return c.checkLeave(target)
	case ban:
		return c.checkBan(target)
	case knock:
		if c.v.KnockAllowed {
			return c.checkKnock(target)
		}
	}
	return forbid("unknown membership")
}

// checkJoin: rule 4.3.
func (c *check) checkJoin(target string, content matrix.MemberContent) error {
	if len(c.e.PrevEvents) == 1 && c.e.PrevEvents[0] == c.create.ID && isFounder(c.create, target) {
		return nil
	}
	if target != string(c.e.Sender) {
		return forbid("nobody joins for another")
	}
	current := c.membershipOf(target)
	if current == ban {
		return forbid("the user is banned")
	}
	rule := c.joinRule()
	if rule == "public" {
		return nil
	}
	if !c.joinsByInvite(rule) {
		return forbid("the join rule lets nobody in")
	}
	if current == invite || current == join || c.isRestricted(rule) && c.mayVouch(content) {
		return nil
	}
	return forbid("the user is not invited")
}

// joinsByInvite reports whether the room version knows the join rule as one under which an invite lets in.
func (c *check) joinsByInvite(rule string) bool {
	return rule == "invite" || rule == "knock" && c.v.KnockAllowed || c.isRestricted(rule)
}

func (c *check) isRestricted(rule string) bool {
	return rule == "restricted" && c.v.RestrictedJoins || rule == "knock_restricted" && c.v.KnockRestricted
}

// mayVouch judges the user who let someone into a restricted room: rule 4.3.5.2. His server's signature is checked
// with the event's others.
func (c *check) mayVouch(content matrix.MemberContent) bool {
	user := content.AuthorisedVia
	return user != "" && c.membershipOf(string(user)) == join && c.levels.of(user) >= c.levels.invite()
}

// checkInvite: rule 4.4.
func (c *check) checkInvite(target string, content matrix.MemberContent) error {
	current := c.membershipOf(target)
	if redeemed := content.ThirdPartyInvite; redeemed != nil {
		if current == ban {
			return forbid("the user is banned")
		}
		return c.checkThirdPartyInvite(target, redeemed)
	}
	switch {
	case c.membershipOf(string(c.e.Sender)) != join:
		return forbid("the sender is not in the room")
	case current == join || current == ban:
		return forbid("the user is in the room already or banned")
	case c.levels.of(c.e.Sender) < c.levels.invite():
		return forbid("the sender's power level is too low to invite")
	}
	return nil
}

// checkLeave: rule 4.5, leaving, declining, kicking and unbanning.
func (c *check) checkLeave(target string) error {
	current := c.membershipOf(target)
	if target == string(c.e.Sender) {
		if current == join || current == invite || current == knock && c.v.KnockAllowed {
			return nil
		}
		return forbid("the user is not in the room")
	}
	power := c.levels.of(c.e.Sender)
	switch {
	case c.membershipOf(string(c.e.Sender)) != join:
		return forbid("the sender is not in the room")
	case current == ban && power < c.levels.ban():
		return forbid("the sender's power level is too low to unban")
	case power < c.levels.kick() || power <= c.levels.of(matrix.UserID(target)):
		return forbid("the sender's power level is too low to remove this user")
	}
	return nil
}

// checkBan: rule 4.6.
func (c *check) checkBan(target string) error {
	if c.membershipOf(string(c.e.Sender)) != join {
		return forbid("the sender is not in the room")
	}
	power := c.levels.of(c.e.Sender)
	if power < c.levels.ban() || power <= c.levels.of(matrix.UserID(target)) {
		return forbid("the sender's power level is too low to ban this user")
	}
	return nil
}

// checkKnock: rule 4.7.
func (c *check) checkKnock(target string) error {
	rule := c.joinRule()
	if rule != "knock" && !(rule == "knock_restricted" && c.v.KnockRestricted) {
		return forbid("the room takes no knocks")
	}
	if target != string(c.e.Sender) {
		return forbid("nobody knocks for another")
	}
	switch c.membershipOf(target) {
	case ban, invite, join:
		return forbid("the user is in the room, invited or banned")
	}
	return nil
}

// joinRule is the room's join rule; "invite" when there is none to read. Spec: client-server-api/#mroomjoin_rules
func (c *check) joinRule() string {
	e := c.s.Event(joinRulesKey)
	if e == nil {
		return "invite"
	}
	rules, _ := e.JoinRules()
	return rules.Rule
}

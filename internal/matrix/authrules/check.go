// Package authrules decides whether an event is allowed in a room's state: the authorisation rules of room
// versions 1 to 12, the selection of auth events, and the questions about power levels that follow from them.
// It is called for every event that enters a room and by state resolution. It reads only the event and the
// state it is given; it verifies no event signatures and knows no storage.
//
// Spec: server-server-api/#authorisation-rules, rooms/v1/#authorisation-rules to rooms/v12/#authorisation-rules
package authrules

import (
	"strings"

	"rempart/internal/matrix"
)

// State is a room state as far as the rules look at it.
type State interface {
	// Event returns the event that sets a piece of state, or nil. The create event can always be reached,
	// also in room versions whose events do not name it.
	Event(t matrix.StateTuple) *matrix.Event
}

const (
	typeCreate           = "m.room.create"
	typeMember           = "m.room.member"
	typePowerLevels      = "m.room.power_levels"
	typeJoinRules        = "m.room.join_rules"
	typeThirdPartyInvite = "m.room.third_party_invite"
	typeAliases          = "m.room.aliases"
	typeRedaction        = "m.room.redaction"
)

var (
	createKey      = matrix.StateTuple{Type: typeCreate}
	powerLevelsKey = matrix.StateTuple{Type: typePowerLevels}
	joinRulesKey   = matrix.StateTuple{Type: typeJoinRules}
)

func memberKey(user string) matrix.StateTuple { return matrix.StateTuple{Type: typeMember, Key: user} }

// check is one event before one state.
type check struct {
	e      *matrix.Event
	s      State
	v      *matrix.RoomVersion
	create *matrix.Event
	levels levels
}

// Check applies the authorisation rules to an event in a given state. It returns nil or a *matrix.Error
// M_FORBIDDEN that names the rule broken. Rules about the event's own list of auth events are those of
// CheckAgainstOwnAuthEvents; signatures are the caller's: those that (*matrix.Event).RequiredSigners names.
func Check(e *matrix.Event, s State) error {
	if e.Type == typeCreate {
		return checkCreate(e)
	}
	c := check{e: e, s: s, v: e.Version, create: s.Event(createKey)}
	if err := c.checkRoom(); err != nil {
		return err
	}
	// Spec: rooms/v5/#authorisation-rules, rule 4
	if e.Type == typeAliases && c.v.AliasAuth {
		return checkAliases(e)
	}
	c.levels = levelsIn(c.s, c.create)
	if e.Type == typeMember {
		return c.checkMember()
	}
	return c.checkOther()
}

// checkRoom applies the rules about the create event. Spec: rooms/v12/#authorisation-rules, rules 2 and 4
func (c *check) checkRoom() error {
	switch {
	case c.create == nil:
		return forbid("the room has no create event")
	case c.create.RoomID != c.e.RoomID:
		return forbid("the create event belongs to another room")
	case c.v.RoomIDIsCreateHash && c.e.RoomID.CreateEventID() != c.create.ID:
		return forbid("the room id does not name the create event")
	case !federates(c.create) && c.e.Sender.Server() != c.create.Sender.Server():
		return forbid("the room is closed to other servers")
	}
	return nil
}

// checkAliases: any server may list its own aliases. Spec: rooms/v1/#authorisation-rules, rule 4
func checkAliases(e *matrix.Event) error {
	if e.StateKey == nil || *e.StateKey != string(e.Sender.Server()) {
		return forbid("aliases are set by the server they belong to")
	}
	return nil
}

// checkOther applies the rules for everything but create, aliases and membership.
// Spec: rooms/v11/#authorisation-rules, rules 5 to 10
func (c *check) checkOther() error {
	e := c.e
	if c.membershipOf(string(e.Sender)) != join {
		return forbid("the sender is not in the room")
	}
	power := c.levels.of(e.Sender)
	if e.Type == typeThirdPartyInvite {
		if power < c.levels.invite() {
			return forbid("the sender may not invite")
		}
		return nil
	}
	if power < c.levels.required(e.Type, e.IsState()) {
		return forbid("the sender's power level is too low for this type of event")
	}
	if e.StateKey != nil && strings.HasPrefix(*e.StateKey, "@") && *e.StateKey != string(e.Sender) {
		return forbid("the state key belongs to another user")
	}
	switch {
	case e.Type == typePowerLevels:
		return c.checkPowerLevels(power)
	case e.Type == typeRedaction && c.v.RedactionAuth:
		return c.checkRedaction(power)
	}
	return nil
}

// checkRedaction: by power, or by the server whose event it is. Spec: rooms/v1/#authorisation-rules, rule 11
func (c *check) checkRedaction(power int64) error {
	if power >= c.levels.redact() || c.e.Redacts.Server() != "" && c.e.Redacts.Server() == c.e.ID.Server() {
		return nil
	}
	return forbid("the sender may not redact events of other servers")
}

// membershipOf is a user's membership in the state; "" when there is none.
func (c *check) membershipOf(user string) string {
	if m := c.s.Event(memberKey(user)); m != nil {
		return m.Membership()
	}
	return ""
}

// forbid makes the refusal. The text tells the rule, never what the room holds.
func forbid(rule string) error { return matrix.Forbidden("Not allowed: " + rule + ".") }

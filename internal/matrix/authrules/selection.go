package authrules

import (
	"encoding/json"

	"rempart/internal/matrix"
)

// NeededAuthTypes lists the pieces of state whose events a new event must name as its auth events, as far as
// they exist. For room versions whose room id names the create event, that is not among them. Content is any JSON.
// Spec: server-server-api/#auth-events-selection
func NeededAuthTypes(sender matrix.UserID, typ string, stateKey *string, content json.RawMessage, v *matrix.RoomVersion) []matrix.StateTuple {
	var member matrix.MemberContent
	if typ == typeMember {
		if canonical, err := matrix.CanonicalJSON(content); err == nil {
			member, _ = matrix.ParseMemberContent(canonical)
		}
	}
	return needed(sender, typ, stateKey, member, v)
}

// NeededBy is NeededAuthTypes for an event that exists.
func NeededBy(e *matrix.Event) []matrix.StateTuple {
	member, _ := e.MembershipContent()
	return needed(e.Sender, e.Type, e.StateKey, member, e.Version)
}

func needed(sender matrix.UserID, typ string, stateKey *string, member matrix.MemberContent, v *matrix.RoomVersion) []matrix.StateTuple {
	if typ == typeCreate {
		return nil
	}
	list := make([]matrix.StateTuple, 0, 6)
	if !v.RoomIDIsCreateHash {
		list = append(list, createKey)
	}
	list = append(list, powerLevelsKey, memberKey(string(sender)))
	if typ != typeMember {
		return list
	}
	if stateKey != nil {
		list = appendNew(list, memberKey(*stateKey))
	}
	switch member.Membership {
	case join, invite, knock:
		list = append(list, joinRulesKey)
	}
	if t := member.ThirdPartyInvite; t != nil && t.Token != "" && member.Membership == invite {
		list = append(list, matrix.StateTuple{Type: typeThirdPartyInvite, Key: t.Token})
	}
	if member.HasAuthorisedVia && member.Membership == join && v.RestrictedJoins {
		list = appendNew(list, memberKey(string(member.AuthorisedVia)))
	}
	return list
}

func appendNew(list []matrix.StateTuple, t matrix.StateTuple) []matrix.StateTuple {
	if contains(list, t) {
		return list
	}
	return append(list, t)
}

func contains(list []matrix.StateTuple, t matrix.StateTuple) bool {
	for _, have := range list {
		if have == t {
			return true
		}
	}
	return false
}

// CheckAgainstOwnAuthEvents judges an event by the auth events that it names itself: no duplicates, none that the
// selection does not ask for, all of the same room, and the rules of Check in the state that they make. The list
// holds the events of e.AuthEvents and, where the room id names the create event, that one too. Whether one of
// them was rejected is the caller's to know: if so, the event is rejected.
// Spec: rooms/v11/#authorisation-rules, rule 2; server-server-api/#checks-performed-on-receipt-of-a-pdu, point 4
func CheckAgainstOwnAuthEvents(e *matrix.Event, authEvents []*matrix.Event) error {
	if e.Type == typeCreate {
		// Spec: server-server-api/#auth-events-selection: the list of a create event is empty.
		if len(e.AuthEvents) > 0 {
			return forbid("a create event has no auth events")
		}
		return Check(e, authState(nil))
	}
	if e.Version.RoomIDIsCreateHash && names(e.AuthEvents, e.RoomID.CreateEventID()) {
		return forbid("the create event is no auth event in this room version")
	}
	if err := checkSelection(e, authEvents); err != nil {
		return err
	}
	return Check(e, authState(authEvents))
}

// checkSelection compares the list with what the selection asks for.
func checkSelection(e *matrix.Event, authEvents []*matrix.Event) error {
	needed := append(NeededBy(e), createKey) // without which Check fails; versions that forbid it are served above
	for i, a := range authEvents {
		switch {
		case a.StateKey == nil || !contains(needed, a.Tuple()):
			return forbid("an auth event is of a kind that this event does not need")
		case a.RoomID != e.RoomID:
			return forbid("an auth event belongs to another room")
		}
		for _, b := range authEvents[:i] {
			if a.Tuple() == b.Tuple() {
				return forbid("two auth events set the same piece of state")
			}
		}
	}
	return nil
}

func names(list []matrix.EventID, id matrix.EventID) bool {
	for _, have := range list {
		if have == id {
			return true
		}
	}
	return false
}

// authState is the state that a short list of events makes.
type authState []*matrix.Event

// Event implements State.
func (s authState) Event(t matrix.StateTuple) *matrix.Event {
	for _, e := range s {
		if e.Type == t.Type && e.StateKeyEquals(t.Key) {
			return e
		}
	}
	return nil
}

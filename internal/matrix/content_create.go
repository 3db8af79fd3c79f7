package matrix

import (
	"encoding/json"
	"slices"
)

// CreateContent is the content of m.room.create. Spec: client-server-api/#mroomcreate
type CreateContent struct {
	RoomVersion    string // as written; empty when absent, which means "1"
	HasRoomVersion bool   // room_version is there, in whatever form
	Creator        UserID // versions 1 to 10
	HasCreator     bool   // creator is there, in whatever form
	Federate       bool   // m.federate; true unless it is false
	Type           string // "m.space" and the like
	Predecessor    *Predecessor
	// AdditionalCreators are written to additional_creators (version 12 on). MSC4289
	AdditionalCreators []UserID
	// BadCreators tells that additional_creators is not an array of valid user ids.
	BadCreators bool
}

// Predecessor names the room that a room replaces.
type Predecessor struct {
	RoomID  RoomID
	EventID EventID // may be empty from version 12 on
}

// CreateContent parses the content of a create event; the error tells that it is no JSON object.
func (e *Event) CreateContent() (*CreateContent, error) {
	return e.memo.create.get(e.Content, ParseCreateContent)
}

// Creators lists a create event's room creators: the sender and, where the version has them, the additional ones;
// in versions 1 to 10 the one that content names.
func (e *Event) Creators() []UserID {
	c, err := e.CreateContent()
	if err != nil {
		return []UserID{e.Sender}
	}
	if !e.Version.ImplicitRoomCreator {
		return []UserID{c.Creator}
	}
	if !e.Version.PrivilegedCreators {
		return []UserID{e.Sender}
	}
	return append([]UserID{e.Sender}, c.AdditionalCreators...)
}

// IsCreator reports whether the user is among Creators; it allocates nothing once the content is parsed.
func (e *Event) IsCreator(u UserID) bool {
	c, err := e.CreateContent()
	if err != nil || e.Version.ImplicitRoomCreator {
		return u == e.Sender || err == nil && e.Version.PrivilegedCreators && slices.Contains(c.AdditionalCreators, u)
	}
	return u == c.Creator
}

// ParseCreateContent reads canonical create content.
func ParseCreateContent(content json.RawMessage) (*CreateContent, error) {
	c := &CreateContent{Federate: true}
	m := membersOf(content)
	for k, v, ok := m.next(); ok; k, v, ok = m.next() {
		switch string(k) {
		case "room_version":
			c.HasRoomVersion = true
			c.RoomVersion, _ = text(v)
		case "creator":
			creator, _ := text(v)
			c.HasCreator, c.Creator = true, UserID(creator)
		case "m.federate":
			c.Federate = string(v) != "false"
		case "type":
			c.Type, _ = text(v)
		case "predecessor":
			c.Predecessor = parsePredecessor(v)
		case "additional_creators":
			c.AdditionalCreators, c.BadCreators = parseCreators(v)
		}
	}
	if m.bad {
		return nil, BadJSON("The create event's content is malformed.")
	}
	return c, nil
}

func parsePredecessor(raw []byte) *Predecessor {
	if !isObject(raw) {
		return nil
	}
	room, _ := text(find(raw, "room_id"))
	event, _ := text(find(raw, "event_id"))
	return &Predecessor{RoomID: RoomID(room), EventID: EventID(event)}
}

// parseCreators reads an array of user ids; bad tells that it is something else.
func parseCreators(raw []byte) (users []UserID, bad bool) {
	list := elementsOf(raw)
	for item, ok := list.next(); ok; item, ok = list.next() {
		u, ok := text(item)
		if !ok || !validDomainID(u, '@') {
			return nil, true
		}
		users = append(users, UserID(u))
	}
	return users, list.bad
}

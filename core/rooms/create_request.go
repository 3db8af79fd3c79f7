package rooms

import (
	"encoding/json"
	"fmt"
	"slices"

	"rempart/internal/matrix"
)

// CreateRequest is what a client may say of a new room. Spec: client-server-api/#post_matrixclientv3createroom
type CreateRequest struct {
	Visibility                string                     `json:"visibility"`
	RoomAliasName             string                     `json:"room_alias_name"`
	Name                      string                     `json:"name"`
	Topic                     string                     `json:"topic"`
	Invite                    []matrix.UserID            `json:"invite"`
	Invite3PID                []json.RawMessage          `json:"invite_3pid"`
	RoomVersion               string                     `json:"room_version"`
	CreationContent           map[string]json.RawMessage `json:"creation_content"`
	InitialState              []InitialState             `json:"initial_state"`
	Preset                    string                     `json:"preset"`
	IsDirect                  bool                       `json:"is_direct"`
	PowerLevelContentOverride map[string]json.RawMessage `json:"power_level_content_override"`
}

// InitialState is a state event that the creator asks for.
type InitialState struct {
	Type     string          `json:"type"`
	StateKey string          `json:"state_key"`
	Content  json.RawMessage `json:"content"`
}

// preset is what a name of the request stands for.
type preset struct {
	joinRule, historyVisibility, guestAccess string
	// trusted gives everyone invited the creator's power.
	trusted bool
}

// presets. Spec: client-server-api/#post_matrixclientv3createroom
func presetOf(name, visibility string) (preset, error) {
	if name == "" {
		name = "private_chat"
		if visibility == "public" {
			name = "public_chat"
		}
	}
	switch name {
	case "private_chat":
		return preset{"invite", "shared", "can_join", false}, nil
	case "trusted_private_chat":
		return preset{"invite", "shared", "can_join", true}, nil
	case "public_chat":
		return preset{"public", "shared", "forbidden", false}, nil
	}
	return preset{}, matrix.InvalidParam("preset must be private_chat, trusted_private_chat or public_chat.")
}

// plan is the list of events that a request stands for, in the order that the specification asks for.
type plan struct {
	version *matrix.RoomVersion
	creator matrix.UserID
	create  json.RawMessage // content of m.room.create
	events  []Draft         // everything after it, the creator's join first
	alias   matrix.RoomAlias
	// creators have power that m.room.power_levels must not speak of (version 12 on).
	creators []matrix.UserID
}

// plan checks a request and turns it into events. member is the content of the creator's join.
func (q *CreateRequest) plan(creator matrix.UserID, defaultVersion string, member json.RawMessage) (*plan, error) {
	p := &plan{creator: creator}
	if err := p.pickVersion(q, defaultVersion); err != nil {
		return nil, err
	}
	set, err := presetOf(q.Preset, q.Visibility)
	if err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	if err := p.createContent(q, set.trusted); err != nil {
		return nil, err
	}
	p.state("m.room.member", string(creator), member)
	levels, err := q.powerLevels(p.version, creator, set)
	if err != nil {
		return nil, err
	}
	if err := checkPowerLevels(levels, p.creators); err != nil {
		return nil, err
	}
	p.state("m.room.power_levels", "", levels)
	if q.RoomAliasName != "" {
		p.alias = matrix.RoomAlias("#" + q.RoomAliasName + ":" + string(creator.Server()))
		p.state("m.room.canonical_alias", "", object("alias", p.alias))
	}
	p.presetEvents(q, set)
	if err := p.initialState(q); err != nil {
		return nil, err
	}
	if q.Name != "" {
		p.state("m.room.name", "", object("name", q.Name))
	}
	if q.Topic != "" {
		p.state("m.room.topic", "", topicContent(q.Topic))
	}
	return p, nil
}

func (p *plan) pickVersion(q *CreateRequest, defaultVersion string) error {
	id := q.RoomVersion
	if id == "" {
		id = defaultVersion
	}
	v, ok := matrix.Version(id)
	if !ok {
		return matrix.UnsupportedRoomVersion()
	}
	p.version = v
	return nil
}

func (q *CreateRequest) check() error {
	if q.Visibility != "" && q.Visibility != "public" && q.Visibility != "private" {
		return matrix.InvalidParam("visibility must be public or private.")
	}
	if len(q.Invite3PID) > 0 {
		return matrix.NewError(403, matrix.CodeThreepidDenied, "This server has no identity server: invite people by their Matrix id.")
	}
	for _, u := range q.Invite {
		if _, err := matrix.ParseUserID(string(u)); err != nil {
			return matrix.InvalidParam(fmt.Sprintf("%q in invite is not a user id.", u))
		}
	}
	return nil
}

// createContent makes the content of m.room.create: what the client asked for, with the keys that are the server's.
func (p *plan) createContent(q *CreateRequest, trusted bool) (err error) {
	content := map[string]json.RawMessage{}
	for k, val := range q.CreationContent {
		content[k] = val
	}
	delete(content, "creator")
	if !p.version.ImplicitRoomCreator {
		content["creator"] = quote(p.creator)
	}
	content["room_version"] = quote(p.version.ID)
	if p.version.PrivilegedCreators {
		more, err := additionalCreators(content["additional_creators"])
		if err != nil {
			return err
		}
		for _, u := range q.Invite { // MSC4289: everyone invited to a trusted private chat has the creator's power
			if trusted && u != p.creator && !slices.Contains(more, u) {
				more = append(more, u)
			}
		}
		if len(more) > 0 {
			content["additional_creators"], _ = json.Marshal(more)
		}
		p.creators = append([]matrix.UserID{p.creator}, more...)
	}
	p.create, err = json.Marshal(content)
	return err
}

func additionalCreators(raw json.RawMessage) ([]matrix.UserID, error) {
	var ids []matrix.UserID
	if raw == nil {
		return nil, nil
	}
	if err := matrix.Decode(raw, &ids); err != nil {
		return nil, matrix.InvalidParam("additional_creators must be a list of user ids.")
	}
	for _, u := range ids {
		if _, err := matrix.ParseUserID(string(u)); err != nil {
			return nil, matrix.InvalidParam(fmt.Sprintf("%q in additional_creators is not a user id.", u))
		}
	}
	return ids, nil
}

// powerLevels is the room's first m.room.power_levels with the client's override laid over it, key by key.
func (q *CreateRequest) powerLevels(v *matrix.RoomVersion, creator matrix.UserID, set preset) (json.RawMessage, error) {
	tombstone := 100
	users := map[matrix.UserID]int{}
	if v.PrivilegedCreators {
		tombstone = 150 // above state_default, so that only creators may upgrade
	} else {
		users[creator] = 100
		if set.trusted {
			for _, u := range q.Invite {
				users[u] = 100
			}
		}
	}
	invite := 0
	if set.joinRule == "public" {
		invite = 50 // Why: who may come anyway needs no invitation, and a restricted rule set later must hold
	}
	content := map[string]any{
		"ban": 50, "kick": 50, "redact": 50, "invite": invite, "historical": 100,
		"events_default": 0, "state_default": 50, "users_default": 0, "users": users,
		"events": map[string]int{
			"m.room.name": 50, "m.room.avatar": 50, "m.room.canonical_alias": 50, "m.room.power_levels": 100,
			"m.room.history_visibility": 100, "m.room.encryption": 100, "m.room.server_acl": 100, "m.room.tombstone": tombstone,
		},
	}
	for k, val := range q.PowerLevelContentOverride {
		content[k] = val
	}
	return json.Marshal(content)
}

// presetEvents adds the preset's events, except those that initial_state takes precedence over.
func (p *plan) presetEvents(q *CreateRequest, set preset) {
	asked := func(typ string) bool {
		return slices.ContainsFunc(q.InitialState, func(s InitialState) bool { return s.Type == typ && s.StateKey == "" })
	}
	for _, e := range []struct{ typ, field, value string }{
		{"m.room.join_rules", "join_rule", set.joinRule},
		{"m.room.history_visibility", "history_visibility", set.historyVisibility},
		{"m.room.guest_access", "guest_access", set.guestAccess},
	} {
		if !asked(e.typ) && e.value != "forbidden" { // no m.room.guest_access means "forbidden" already
			p.state(e.typ, "", object(e.field, e.value))
		}
	}
}

func (p *plan) initialState(q *CreateRequest) error {
	for _, s := range q.InitialState {
		switch {
		case s.Type == "":
			return matrix.BadJSON("Every entry of initial_state needs a type.")
		case len(s.Content) == 0 || s.Content[0] != '{':
			return matrix.BadJSON(fmt.Sprintf("The content of %s in initial_state must be an object.", s.Type))
		case s.Type == "m.room.create":
			return matrix.InvalidParam("m.room.create cannot be part of initial_state; use creation_content.")
		case s.Type == "m.room.name" && q.Name != "", s.Type == "m.room.topic" && q.Topic != "":
			continue
		}
		p.state(s.Type, s.StateKey, s.Content)
	}
	return nil
}

// inviteDrafts are the invitations, last of all.
func (q *CreateRequest) inviteDrafts(creator matrix.UserID) []Draft {
	content := map[string]any{"membership": "invite"}
	if q.IsDirect {
		content["is_direct"] = true
	}
	raw, _ := json.Marshal(content)
	p := plan{creator: creator}
	for i, u := range q.Invite {
		if u != creator && !slices.Contains(q.Invite[:i], u) {
			p.state("m.room.member", string(u), raw)
		}
	}
	return p.events
}

func (p *plan) state(typ, key string, content json.RawMessage) {
	p.events = append(p.events, Draft{Sender: p.creator, Type: typ, StateKey: &key, Content: content})
}

// topicContent carries the topic as plain text in both forms. Spec: client-server-api/#mroomtopic
func topicContent(topic string) json.RawMessage {
	raw, _ := json.Marshal(map[string]any{
		"topic":   topic,
		"m.topic": map[string]any{"m.text": []map[string]string{{"body": topic}}},
	})
	return raw
}

// object is a JSON object of one text member.
func object[S ~string](key string, value S) json.RawMessage {
	raw, _ := json.Marshal(map[string]string{key: string(value)})
	return raw
}

func quote[S ~string](s S) json.RawMessage {
	raw, _ := json.Marshal(string(s))
	return raw
}

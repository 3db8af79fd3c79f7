package matrix

import "encoding/json"

// JoinRules is the content of m.room.join_rules. Spec: client-server-api/#mroomjoin_rules
type JoinRules struct {
	Rule  string // "invite" when absent: that is what auth rules take then
	Allow []AllowCondition
}

// AllowCondition is one entry of a restricted room's allow list.
type AllowCondition struct {
	Type   string // "m.room_membership" or something unknown
	RoomID RoomID
}

// JoinRules parses the content of a join rules event; the error tells that join_rule is missing or not a string.
func (e *Event) JoinRules() (JoinRules, error) {
	return e.memo.joinRules.get(e.Content, ParseJoinRules)
}

// ParseJoinRules reads canonical join rules content.
func ParseJoinRules(content json.RawMessage) (JoinRules, error) {
	rule, ok := text(find(content, "join_rule"))
	if !ok {
		return JoinRules{Rule: "invite"}, BadJSON("The join rules event has no join_rule.")
	}
	j := JoinRules{Rule: rule}
	list := elementsOf(find(content, "allow"))
	for item, ok := list.next(); ok; item, ok = list.next() {
		typ, isText := text(find(item, "type"))
		room, _ := text(find(item, "room_id"))
		if isText {
			j.Allow = append(j.Allow, AllowCondition{Type: typ, RoomID: RoomID(room)})
		}
	}
	return j, nil
}

// HistoryVisibility is content.history_visibility; "shared" when it is missing or unknown.
// Spec: client-server-api/#room-history-visibility
func (e *Event) HistoryVisibility() string {
	v, _ := e.memo.visibility.get(e.Content, parseVisibility)
	return v
}

func parseVisibility(content json.RawMessage) (string, error) {
	switch v, _ := text(find(content, "history_visibility")); v {
	case "invited", "joined", "world_readable":
		return v, nil
	}
	return "shared", nil
}

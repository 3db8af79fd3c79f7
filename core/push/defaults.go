package push

import "encoding/json"

// Default rules that are known by name.
const (
	masterRule  = ".m.rule.master"
	mentionRule = ".m.rule.is_user_mention"
)

// The actions that the default rules use.
var (
	notify       = json.RawMessage(`"notify"`)
	soundDefault = json.RawMessage(`{"set_tweak":"sound","value":"default"}`)
	soundRing    = json.RawMessage(`{"set_tweak":"sound","value":"ring"}`)
	highlight    = json.RawMessage(`{"set_tweak":"highlight"}`)
)

// Defaults are the rules every user starts with. Spec: client-server-api/#predefined-rules
func Defaults(user string) Ruleset {
	master := rule(masterRule, nil)
	master.Enabled = false
	me, _ := json.Marshal(user)
	return Ruleset{
		Override: []Rule{
			master,
			rule(".m.rule.suppress_notices", nil, match("content.msgtype", "m.notice")),
			rule(".m.rule.invite_for_me", actions(notify, soundDefault), match("type", "m.room.member"),
				match("content.membership", "invite"), match("state_key", user)),
			rule(".m.rule.member_event", nil, match("type", "m.room.member")),
			rule(mentionRule, actions(notify, soundDefault, highlight),
				Condition{Kind: "event_property_contains", Key: `content.m\.mentions.user_ids`, Value: me}),
			rule(".m.rule.is_room_mention", actions(notify, highlight),
				Condition{Kind: "event_property_is", Key: `content.m\.mentions.room`, Value: json.RawMessage("true")},
				Condition{Kind: "sender_notification_permission", Key: "room"}),
			rule(".m.rule.tombstone", actions(notify, highlight), match("type", "m.room.tombstone"), match("state_key", "")),
			rule(".m.rule.reaction", nil, match("type", "m.reaction")),
			rule(".m.rule.room.server_acl", nil, match("type", "m.room.server_acl"), match("state_key", "")),
			rule(".m.rule.suppress_edits", nil,
				Condition{Kind: "event_property_is", Key: `content.m\.relates_to.rel_type`, Value: json.RawMessage(`"m.replace"`)}),
		},
		Content: []Rule{}, Room: []Rule{}, Sender: []Rule{},
		Underride: []Rule{
			rule(".m.rule.call", actions(notify, soundRing), match("type", "m.call.invite")),
			rule(".m.rule.encrypted_room_one_to_one", actions(notify, soundDefault),
				Condition{Kind: "room_member_count", Is: "2"}, match("type", "m.room.encrypted")),
			rule(".m.rule.room_one_to_one", actions(notify, soundDefault),
				Condition{Kind: "room_member_count", Is: "2"}, match("type", "m.room.message")),
			rule(".m.rule.message", actions(notify), match("type", "m.room.message")),
			rule(".m.rule.encrypted", actions(notify), match("type", "m.room.encrypted")),
		},
	}
}

func rule(id string, acts []json.RawMessage, conditions ...Condition) Rule {
	if acts == nil {
		acts = []json.RawMessage{}
	}
	return Rule{ID: id, Default: true, Enabled: true, Conditions: conditions, Actions: acts}
}

func actions(a ...json.RawMessage) []json.RawMessage { return a }

func match(key, pattern string) Condition {
	return Condition{Kind: "event_match", Key: key, Pattern: &pattern}
}

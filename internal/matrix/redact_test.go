package matrix

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// redactionRules are the lists of the specification, one room version after the other: top-level keys, then
// "type: keys". Spec: rooms/v1/#redactions and the later versions'
var redactionRules = map[string]string{
	"1-5": `event_id type room_id sender state_key content hashes signatures depth prev_events prev_state auth_events
		origin origin_server_ts membership
		m.room.member:membership m.room.create:creator m.room.join_rules:join_rule m.room.aliases:aliases
		m.room.power_levels:ban,events,events_default,kick,redact,state_default,users,users_default
		m.room.history_visibility:history_visibility`,
	"6-7": `event_id type room_id sender state_key content hashes signatures depth prev_events prev_state auth_events
		origin origin_server_ts membership
		m.room.member:membership m.room.create:creator m.room.join_rules:join_rule
		m.room.power_levels:ban,events,events_default,kick,redact,state_default,users,users_default
		m.room.history_visibility:history_visibility`,
	"8-8": `event_id type room_id sender state_key content hashes signatures depth prev_events prev_state auth_events
		origin origin_server_ts membership
		m.room.member:membership m.room.create:creator m.room.join_rules:join_rule,allow
		m.room.power_levels:ban,events,events_default,kick,redact,state_default,users,users_default
		m.room.history_visibility:history_visibility`,
	"9-10": `event_id type room_id sender state_key content hashes signatures depth prev_events prev_state auth_events
		origin origin_server_ts membership
		m.room.member:membership,join_authorised_via_users_server m.room.create:creator
		m.room.join_rules:join_rule,allow
		m.room.power_levels:ban,events,events_default,kick,redact,state_default,users,users_default
		m.room.history_visibility:history_visibility`,
	"11-12": `event_id type room_id sender state_key content hashes signatures depth prev_events auth_events
		origin_server_ts
		m.room.member:membership,join_authorised_via_users_server,third_party_invite m.room.create:*
		m.room.join_rules:join_rule,allow
		m.room.power_levels:ban,events,events_default,invite,kick,redact,state_default,users,users_default
		m.room.history_visibility:history_visibility m.room.redaction:redacts`,
}

// rulesOf gives the top-level keys and the content keys of each type.
func rulesOf(t testing.TB, v *RoomVersion) (top map[string]bool, content map[string]map[string]bool) {
	t.Helper()
	top, content = map[string]bool{}, map[string]map[string]bool{}
	for span, text := range redactionRules {
		if !inSpan(t, v, span) {
			continue
		}
		for _, word := range strings.Fields(text) {
			typ, keys, isType := strings.Cut(word, ":")
			if !isType {
				top[word] = true
				continue
			}
			content[typ] = map[string]bool{}
			for _, k := range strings.Split(keys, ",") {
				content[typ][k] = true
			}
		}
	}
	return top, content
}

// inSpan reports whether a version is within "first-last".
func inSpan(t testing.TB, v *RoomVersion, span string) bool {
	t.Helper()
	var first, last, id int
	if _, err := fmt.Sscanf(span+" "+v.ID, "%d-%d %d", &first, &last, &id); err != nil {
		t.Fatal(err)
	}
	return id >= first && id <= last
}

// oracleRedact redacts by maps and the lists above.
func oracleRedact(t testing.TB, v *RoomVersion, event []byte) string {
	t.Helper()
	top, rules := rulesOf(t, v)
	all := map[string]json.RawMessage{}
	content := map[string]json.RawMessage{}
	var typ string
	if json.Unmarshal(event, &all) != nil || json.Unmarshal(all["content"], &content) != nil ||
		json.Unmarshal(all["type"], &typ) != nil {
		t.Fatalf("oracle: not an event: %s", event)
	}
	for k := range all {
		if !top[k] {
			delete(all, k)
		}
	}
	for k, value := range content {
		if !rules[typ][k] && !rules[typ]["*"] {
			delete(content, k)
			continue
		}
		if typ != "m.room.member" || k != "third_party_invite" {
			continue
		}
		invite := map[string]json.RawMessage{}
		if json.Unmarshal(value, &invite) != nil || string(value) == "null" {
			delete(content, k)
			continue
		}
		kept := map[string]json.RawMessage{}
		if signed, ok := invite["signed"]; ok {
			kept["signed"] = signed
		}
		content[k] = marshal(t, kept)
	}
	all["content"] = marshal(t, content)
	out, err := oracleCanonical(marshal(t, all), false)
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	return out
}

func marshal(t testing.TB, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fullEvent has every top-level key that any rule names, and more.
func fullEvent(typ, content string) string {
	return `{"auth_events":[],"content":` + content + `,"depth":1,"event_id":"$a:b","hashes":{"sha256":""},"membership":"join",` +
		`"origin":"b","origin_server_ts":1,"other":1,"prev_events":[],"prev_state":[],"redacts":"$x:b","room_id":"!a:b",` +
		`"sender":"@a:b","signatures":{"b":{"ed25519:1":"x"}},"state_key":"","type":"` + typ + `"}`
}

// fullContents have every content key that any rule names, and more.
var fullContents = map[string]string{
	"m.room.member":             `{"displayname":"x","join_authorised_via_users_server":"@x:b","membership":"join","third_party_invite":{"display_name":"x","signed":{"mxid":"@a:b","token":"t"}}}`,
	"m.room.create":             `{"additional_creators":[],"creator":"@a:b","m.federate":true,"room_version":"1"}`,
	"m.room.join_rules":         `{"allow":[{"room_id":"!a:b"}],"join_rule":"restricted","x":1}`,
	"m.room.power_levels":       `{"ban":1,"events":{},"events_default":1,"invite":1,"kick":1,"notifications":{},"redact":1,"state_default":1,"users":{},"users_default":1}`,
	"m.room.aliases":            `{"aliases":["#a:b"],"x":1}`,
	"m.room.history_visibility": `{"history_visibility":"joined","x":1}`,
	"m.room.redaction":          `{"reason":"x","redacts":"$a:b"}`,
	"m.room.message":            `{"body":"x","membership":"join","redacts":"$a:b"}`,
}

func TestRedactedFollowsLists(t *testing.T) {
	for _, v := range Versions() {
		for typ, content := range fullContents {
			checkRedacted(t, v, fullEvent(typ, content))
		}
		checkRedacted(t, v, fullEvent("m.room.member", `{"membership":"invite","third_party_invite":"text"}`))
		checkRedacted(t, v, fullEvent("m.room.member", `{"membership":"invite","third_party_invite":{"x":1}}`))
		checkRedacted(t, v, fullEvent("m.room.message", `{}`))
	}
}

func checkRedacted(t testing.TB, v *RoomVersion, event string) {
	t.Helper()
	f, ok := scanFields([]byte(event))
	if !ok {
		t.Fatalf("cannot scan %s", event)
	}
	typ, _ := text(f.typ)
	want := oracleRedact(t, v, []byte(event))
	got := string(appendRedacted(nil, []byte(event), v.RedactionAlgorithm, typ, true))
	if got != want {
		t.Errorf("version %s redacts %s\nto     %s\noracle %s", v.ID, event, got, want)
	}
	if again := string(appendRedacted(nil, []byte(got), v.RedactionAlgorithm, typ, true)); again != got {
		t.Errorf("version %s: redacting twice gives %s, once %s", v.ID, again, got)
	}
}

func TestRedactContent(t *testing.T) {
	v, _ := Version("12")
	if got := v.RedactContent("m.room.message", json.RawMessage(`{"body":"x"}`)); string(got) != `{}` {
		t.Errorf("a message keeps %s", got)
	}
	if got := v.RedactContent("m.room.create", json.RawMessage(`{"x":1}`)); string(got) != `{"x":1}` {
		t.Errorf("a create event keeps %s", got)
	}
}

// FuzzRedact takes arbitrary contents and further keys through every version's algorithm.
func FuzzRedact(f *testing.F) {
	for typ, content := range fullContents {
		f.Add(typ, content, `{"membership":1,"origin":2,"zzz":3}`)
	}
	f.Fuzz(func(t *testing.T, typ, content, more string) {
		object, err := CanonicalJSON([]byte(content))
		extra, err2 := CanonicalJSON([]byte(more))
		if err != nil || err2 != nil || !isObject(object) || !isObject(extra) || strings.Contains(content+more+typ, "\ufffd") {
			t.Skip()
		}
		event := setMember(extra, []byte(`"content"`), object)
		event = setMember(event, []byte(`"type"`), AppendJSONString(nil, typ))
		event, err = CanonicalJSON(event)
		if err != nil || strings.Contains(string(event), "\ufffd") {
			t.Skip()
		}
		for _, v := range Versions() {
			checkRedacted(t, v, string(event))
		}
	})
}

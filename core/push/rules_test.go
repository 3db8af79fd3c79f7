package push

import (
	"encoding/json"
	"testing"

	"rempart/internal/matrix"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		whole, words  bool
	}{
		{"lunc?*", "lunch plans", true, true},
		{"lunc?*", "lunch", true, true},
		{"lunc?*", " lunch", false, true},
		{"lunc?*", "lunc", false, false},
		{"ex*ple", "an example event.", false, true},
		{"ex*ple", "exple", true, true},
		{"ex*ple", "an exciting triple-whammy", false, true},
		{"cake", "pancake", false, false},
		{"cake", "the cake_", false, false},
		{"cake", "the (cake)", false, true},
		{"é?", "éà", true, true},
		{"", "", true, false},
		{"*", "", true, true},
	} {
		if got := glob(c.pattern, c.text); got != c.whole {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.text, got)
		}
		if got := globWords(c.pattern, c.text); got != c.words {
			t.Errorf("globWords(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}

// The conditions of the specification, each met and missed. Spec: client-server-api/#conditions-1
func TestConditions(t *testing.T) {
	event := &matrix.Event{RoomID: "!room:x", Sender: "@bob:x", Type: "m.room.message", JSON: []byte(`{"type":"m.room.message",
		"content":{"body":"Hello Alice, lunch?","m.federate":true,"n":3,"list":["a",1,null,{"x":1}],"m.mentions":{"room":true},"deep":{"a.b":{"c\\d":"x"}}},
		"sender":"@bob:x","state_key":""}`)}
	for _, c := range []struct {
		condition string
		want      bool
	}{
		{`{"kind":"event_match","key":"type","pattern":"M.ROOM.*"}`, true},
		{`{"kind":"event_match","key":"type","pattern":"m.room"}`, false},
		{`{"kind":"event_match","key":"content.body","pattern":"alice"}`, true},
		{`{"kind":"event_match","key":"content.body","pattern":"lic"}`, false},
		{`{"kind":"event_match","key":"content.n","pattern":"*"}`, false},
		{`{"kind":"event_match","key":"content.none","pattern":"*"}`, false},
		{`{"kind":"event_match","key":"state_key","pattern":""}`, true},
		{`{"kind":"event_match","key":"content.deep.a\\.b.c\\\\d","pattern":"x"}`, true},
		{`{"kind":"event_property_is","key":"content.m\\.federate","value":true}`, true},
		{`{"kind":"event_property_is","key":"content.m\\.federate","value":"true"}`, false},
		{`{"kind":"event_property_is","key":"content.n","value":3}`, true},
		{`{"kind":"event_property_is","key":"content.list","value":["a"]}`, false},
		{`{"kind":"event_property_contains","key":"content.list","value":"a"}`, true},
		{`{"kind":"event_property_contains","key":"content.list","value":1}`, true},
		{`{"kind":"event_property_contains","key":"content.list","value":null}`, true},
		{`{"kind":"event_property_contains","key":"content.list","value":"b"}`, false},
		{`{"kind":"event_property_contains","key":"content.body","value":"a"}`, false},
		{`{"kind":"contains_display_name"}`, true},
		{`{"kind":"room_member_count","is":"2"}`, true},
		{`{"kind":"room_member_count","is":"==2"}`, true},
		{`{"kind":"room_member_count","is":"<2"}`, false},
		{`{"kind":"room_member_count","is":">=2"}`, true},
		{`{"kind":"room_member_count","is":"=>2"}`, false},
		{`{"kind":"room_member_count","is":"two"}`, false},
		{`{"kind":"sender_notification_permission","key":"room"}`, true},
		{`{"kind":"sender_notification_permission","key":"moon"}`, false},
		{`{"kind":"org.example.new"}`, false},
	} {
		var cond Condition
		if err := json.Unmarshal([]byte(c.condition), &cond); err != nil {
			t.Fatal(err)
		}
		o := &occasion{event: event, members: 2, mayNotify: func(key string) bool { return key == "room" }}
		if got := (judge{displayName: func() string { return "Alice" }}).holds(o, &cond); got != c.want {
			t.Errorf("%s: %v", c.condition, got)
		}
	}
}

// The quick way to the default outcome says what the default rules say, for somebody whom the event does not name.
func TestDefaultOutcomeEqualsRules(t *testing.T) {
	for _, typ := range []string{"m.room.message", "m.room.encrypted", "m.call.invite", "m.room.member", "m.room.tombstone", "m.reaction", "m.room.server_acl", "org.example"} {
		for _, content := range []string{`{}`, `{"msgtype":"m.text","body":"x"}`, `{"msgtype":"m.notice"}`, `{"m.mentions":{"room":true}}`,
			`{"m.relates_to":{"rel_type":"m.replace"}}`, `{"m.mentions":{"room":true},"msgtype":"m.notice"}`, `{"m.mentions":{"room":true},"m.relates_to":{"rel_type":"m.replace"}}`} {
			for _, key := range []*string{nil, new(string)} {
				for _, power := range []bool{true, false} {
					e := &matrix.Event{Type: typ, StateKey: key, Content: []byte(content)}
					raw := map[string]any{"type": typ, "content": json.RawMessage(content)}
					if key != nil {
						raw["state_key"] = *key
					}
					e.JSON, _ = json.Marshal(raw)
					o := &occasion{event: e, members: 3, mayNotify: func(string) bool { return power }}
					rules := Defaults("@me:x")
					g := look(e)
					if got, want := defaultOutcome(e, &g, func() bool { return power }), (judge{rules: &rules}).decide(o); got != want {
						t.Errorf("%s %s state %v power %v: %+v, the rules say %+v", typ, content, key != nil, power, got, want)
					}
				}
			}
		}
	}
}

// Where new rules go. Spec: client-server-api/#put_matrixclientv3pushrulesglobalkindruleid
func TestPlaceOfRules(t *testing.T) {
	r := Defaults("@me:x")
	put := func(id, before, after string) error {
		return r.put(NewRule{Kind: Override, Rule: Rule{ID: id}, Before: before, After: after})
	}
	ids := func() (out string) {
		for _, x := range r.Override {
			if !x.Default || x.ID == masterRule {
				out += x.ID + " "
			}
		}
		return out
	}
	for _, s := range []struct{ id, before, after, want string }{
		{"a", "", "", ".m.rule.master a "},
		{"b", "", "", ".m.rule.master b a "},
		{"c", "", "b", ".m.rule.master b c a "},
		{"d", "b", "", ".m.rule.master d b c a "},
		{"a", "", "", ".m.rule.master d b c a "},
		{"a", "d", "", ".m.rule.master a d b c "},
	} {
		if err := put(s.id, s.before, s.after); err != nil || ids() != s.want {
			t.Errorf("put %+v: %v, rules %s", s, err, ids())
		}
	}
	if err := put("e", ".m.rule.reaction", ""); !matrix.HasCode(err, matrix.CodeUnknown) {
		t.Errorf("beside a default rule: %v", err)
	}
}

// Rules stored by an older version get the default rules they lack, in their places.
func TestNewDefaultsAppear(t *testing.T) {
	r, err := parse("@me:x", []byte(`{"global":{"override":[{"rule_id":".m.rule.master","default":true,"enabled":true,"actions":[]},
		{"rule_id":"mine","enabled":true,"actions":["notify"],"conditions":[]},{"rule_id":".m.rule.member_event","default":true,"enabled":false,"actions":[]}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Override) != len(Defaults("").Override)+1 || !r.Override[0].Enabled || r.Find(Override, ".m.rule.member_event").Enabled || len(r.Underride) != 5 {
		t.Errorf("rules: %+v", r)
	}
}

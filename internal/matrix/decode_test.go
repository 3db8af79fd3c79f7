package matrix

import (
	"encoding/json"
	"testing"
)

func TestDecodeReadsKeysAsTheyAreWritten(t *testing.T) {
	type member struct {
		Membership string                     `json:"membership"`
		Count      int64                      `json:"count"`
		More       map[string]json.RawMessage `json:"more"`
		Flag       *bool                      `json:"flag"`
	}
	for content, want := range map[string]string{
		`{"membership":"join","MEMBERSHIP":"leave"}`:            "join",
		`{"Membership":"leave"}`:                                "",
		`{"member\u0073hip":"join"}`:                            "join",
		`{"x":{"y":[1,2.5]},"membership":"ban","more":{"k":1}}`: "ban",
	} {
		var m member
		if err := Decode([]byte(content), &m); err != nil || m.Membership != want {
			t.Errorf("%s: %q, %v; want %q", content, m.Membership, err, want)
		}
	}
	var m member
	if err := Decode([]byte(`{"membership":"join","count":"x","flag":true}`), &m); err == nil || m.Membership != "join" || m.Flag == nil {
		t.Errorf("what stands beside a value of another type: %+v, %v", m, err)
	}
	for _, content := range []string{``, `{`, `[]`, `{"membership":1}`, `{"count":1.5}`, `{"membership":"a"}{}`} {
		if err := Decode([]byte(content), &member{}); err == nil {
			t.Errorf("%s is taken", content)
		}
	}
}

package rooms

import (
	"testing"

	"rempart/internal/matrix"
)

// Spec: client-server-api/#filtering
func TestEventFilter(t *testing.T) {
	e := &matrix.Event{Type: "m.room.message", Sender: "@bob:x", Content: []byte(`{"body":"x","url":"mxc://x/y"}`)}
	for filter, want := range map[string]bool{
		`{}`:                                true,
		`{"types":[]}`:                      false,
		`{"types":["m.room.message"]}`:      true,
		`{"types":["m.*.message"]}`:         true,
		`{"types":["*"]}`:                   true,
		`{"types":["m.room"]}`:              false,
		`{"types":["m.room.*.x"]}`:          false,
		`{"types":["*ss*ge"]}`:              true,
		`{"not_types":["m.room.*"]}`:        false,
		`{"types":["*"],"not_types":["*"]}`: false,
		`{"senders":["@bob:x"]}`:            true,
		`{"senders":[]}`:                    false,
		`{"not_senders":["@bob:x"]}`:        false,
		`{"contains_url":true}`:             true,
		`{"contains_url":false}`:            false,
	} {
		f, err := ParseEventFilter([]byte(filter))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(e); got != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
	var none *EventFilter
	if !none.Match(e) || !none.MatchRoom("!a:x") || none.Check() != nil {
		t.Error("no filter must let everything pass")
	}
	if f, _ := ParseEventFilter([]byte(`{"contains_url":true}`)); f.Match(&matrix.Event{Content: []byte(`{"body":"\"url\""}`)}) {
		t.Error("a url that is only text counted")
	}
	if f, _ := ParseEventFilter([]byte(`{"rooms":["!a:x"],"not_rooms":["!a:x"]}`)); f.MatchRoom("!a:x") {
		t.Error("not_rooms must win")
	}
}

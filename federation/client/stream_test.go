package client

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// What is read of an answer to a join, and which answers are refused.
func TestReadJoined(t *testing.T) {
	const whole = `{"origin":"a","members_omitted":true,"junk":[{"x":[1,2,{"y":"]"}]},null],"state":[{"type":"a"},{"type":"b"}],
		"auth_chain":[],"event":{"type":"m.room.member"},"servers_in_room":["a.org","b.org"],"more":"text"}`
	var state, auth []string
	j, err := readJoined(strings.NewReader(whole), func(isState bool, e json.RawMessage) error {
		if isState {
			state = append(state, string(e))
		} else {
			auth = append(auth, string(e))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(state) != 2 || state[1] != `{"type":"b"}` || len(auth) != 0 || !j.MembersOmitted || len(j.Servers) != 2 ||
		string(j.Event) != `{"type":"m.room.member"}` {
		t.Errorf("%+v %v %v", j, state, auth)
	}
	some := func(bool, json.RawMessage) error { return nil }
	for n := 1; n < len(whole); n++ { // wherever it ends before its end
		if _, err := readJoined(strings.NewReader(whole[:n]), some); err == nil {
			t.Fatalf("an answer that ends after %q is taken", whole[:n])
		}
	}
	for _, bad := range []string{``, `[]`, `"x"`, `{"state":{}}`, `{"state":[}`, `{"state":null}`, `{"servers_in_room":[1]}`, `{"state":[{]]}`} {
		if _, err := readJoined(strings.NewReader(bad), some); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	large := `{"state":["` + strings.Repeat("x", maxJoinEvent) + `"]}`
	if _, err := readJoined(strings.NewReader(large), some); !errors.Is(err, errTooLarge) {
		t.Errorf("an event without measure: %v", err)
	}
}

package client

import (
	"errors"
	"strings"
	"testing"
)

// What is read of an answer to a join, and which answers are refused.
func TestReadJoined(t *testing.T) {
	const whole = `{"origin":"a","members_omitted":true,"junk":[{"x":[1,2,{"y":"]"}]},null],"state":[{"type":"a"},{"type":"b"}],
		"auth_chain":[],"event":{"type":"m.room.member"},"servers_in_room":["a.org","b.org"],"more":"text"}`
	j, err := readJoined(strings.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	if len(j.State) != 2 || string(j.State[1]) != `{"type":"b"}` || len(j.AuthChain) != 0 || !j.MembersOmitted || len(j.Servers) != 2 ||
		string(j.Event) != `{"type":"m.room.member"}` {
		t.Errorf("%+v", j)
	}
	for n := 1; n < len(whole); n++ { // wherever it ends before its end
		if _, err := readJoined(strings.NewReader(whole[:n])); err == nil {
			t.Fatalf("an answer that ends after %q is taken", whole[:n])
		}
	}
	for _, bad := range []string{``, `[]`, `"x"`, `{"state":{}}`, `{"state":[}`, `{"state":null}`, `{"servers_in_room":[1]}`, `{"state":[{]]}`} {
		if _, err := readJoined(strings.NewReader(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	large := `{"state":["` + strings.Repeat("x", maxJoinEvent) + `"]}`
	if _, err := readJoined(strings.NewReader(large)); !errors.Is(err, errTooLarge) {
		t.Errorf("an event without measure: %v", err)
	}
}

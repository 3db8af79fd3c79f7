package authrules_test

import (
	"encoding/json"
	"testing"

	"rempart/internal/matrix"
)

// room is a state written down event by event, for table tests.
type room map[matrix.StateTuple]*matrix.Event

// Event implements authrules.State.
func (r room) Event(t matrix.StateTuple) *matrix.Event { return r[t] }

const (
	creator = "@creator:a.example"
	mod     = "@mod:a.example"
	user    = "@user:b.example"
	other   = "@other:b.example"
)

func version(t testing.TB, id string) *matrix.RoomVersion {
	t.Helper()
	v, ok := matrix.Version(id)
	if !ok {
		t.Fatalf("no room version %s", id)
	}
	return v
}

// event makes an event without hashes and signatures. A key of "-" stands for a message event.
func event(t testing.TB, v *matrix.RoomVersion, id, typ, key, sender, content string) *matrix.Event {
	t.Helper()
	fields := map[string]any{
		"type": typ, "sender": sender, "content": json.RawMessage(content), "depth": 5, "origin_server_ts": 1000,
		"prev_events": []any{}, "auth_events": []any{}, "room_id": "!room:a.example",
	}
	if v.RoomIDIsCreateHash {
		fields["room_id"] = "!create"
	}
	if key != "-" {
		fields["state_key"] = key
	}
	if typ == "m.room.create" && v.RoomIDIsCreateHash {
		delete(fields, "room_id")
	}
	raw, err := json.Marshal(fields)
	if err == nil {
		raw, err = matrix.CanonicalJSON(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	e, err := v.ParseTrusted(matrix.EventID("$"+id), raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// newRoom has creator (100), mod (50) and user (0) in it, and a public join rule.
func newRoom(t testing.TB, v *matrix.RoomVersion) room {
	t.Helper()
	r := room{}
	content, users := `{"creator":"`+creator+`","room_version":"`+v.ID+`"}`, `"`+creator+`":100,`
	if v.ImplicitRoomCreator {
		content = `{"room_version":"` + v.ID + `"}`
	}
	if v.PrivilegedCreators {
		users = ""
	}
	r.set(event(t, v, "create", "m.room.create", "", creator, content))
	r.set(event(t, v, "pl", "m.room.power_levels", "", creator, `{"users":{`+users+`"`+mod+`":50}}`))
	r.rule(t, v, "public")
	for _, u := range []string{creator, mod, user} {
		r.member(t, v, u, "join")
	}
	return r
}

func (r room) set(e *matrix.Event) { r[e.Tuple()] = e }

func (r room) member(t testing.TB, v *matrix.RoomVersion, u, membership string) {
	t.Helper()
	r.set(event(t, v, "m"+u[1:4], "m.room.member", u, u, `{"membership":"`+membership+`"}`))
}

func (r room) rule(t testing.TB, v *matrix.RoomVersion, rule string) {
	t.Helper()
	r.set(event(t, v, "jr", "m.room.join_rules", "", creator, `{"join_rule":"`+rule+`"}`))
}

func (r room) levels(t testing.TB, v *matrix.RoomVersion, content string) {
	t.Helper()
	r.set(event(t, v, "pl", "m.room.power_levels", "", creator, content))
}

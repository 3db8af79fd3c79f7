package rooms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// terse is a wire whose servers know nothing of times and find every question about history wrong, as Dendrite does in rooms of version 12.
type terse struct{ *wire }

func (w terse) EventNear(context.Context, matrix.ServerName, matrix.ServerName, matrix.RoomID, int64, bool) (matrix.EventID, int64, error) {
	return "", 0, matrix.Unrecognized()
}

func (w terse) Backfill(context.Context, matrix.ServerName, matrix.ServerName, matrix.RoomID, []matrix.EventID, int) ([]json.RawMessage, error) {
	return nil, matrix.MissingParam("Bad room ID")
}

// Who joins a room of a server that finds questions about history wrong reads on all the same into what was said before, each event once.
func TestHistoryOfWhoDoesNotTellIt(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := &wire{}
		a := w.server(t, home, sqliteURL(t))
		d := w.serverBehind(t, there, url, terse{w})
		a.account(t, alice)
		d.account(t, dora)
		room := a.publicRoom(t, "12")
		a.messages(t, room, alice, 130)
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		got, from := []string{}, (*matrix.PageToken)(nil)
		for range 20 {
			page, err := d.rooms.Messages(t.Context(), d.known(t, room.ID()), dora, rooms.MessagesRequest{Backward: true, Limit: 30, From: from})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				if body, ok := matrix.LookupText(e.Content, "body"); ok {
					got = append(got, body)
				}
			}
			if from = page.End; from == nil {
				break
			}
		}
		want := make([]string, 130)
		for i := range want {
			want[len(want)-1-i] = fmt.Sprint("message ", i)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d messages: %q", len(got), got)
		}
	})
}

// What was missed comes also from a server that does not know which event was the last: it is asked where it would put the next one.
func TestWhoDoesNotKnowTimesIsAskedWhatIsNew(t *testing.T) {
	for _, version := range []string{"1", "10", "12"} {
		w := &wire{}
		a := w.server(t, home, sqliteURL(t))
		d := w.serverBehind(t, there, sqliteURL(t), terse{w})
		a.account(t, alice)
		d.account(t, dora)
		room := a.publicRoom(t, version)
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		a.messages(t, room, alice, 50)
		d.rooms.Resume(t.Context())
		want := a.page(t, room.ID(), alice, 50)
		if got := d.page(t, room.ID(), dora, 50); len(want) != 50 || !slices.Equal(got, want) {
			t.Errorf("version %s: knows %d messages of %d", version, len(got), len(want))
		}
	}
}

// An invitation into a room whose id is the hash of its create event is taken with a create event that proves it, and without any, which shows
// nothing of who made the room then. What is forged is refused, unless the invited server is in the room itself.
func TestWhatInvitationsShowOfHashedRooms(t *testing.T) {
	w := &wire{}
	a, d := w.server(t, home, sqliteURL(t)), w.server(t, there, sqliteURL(t))
	a.account(t, alice)
	d.account(t, dora)
	room, other := a.publicRoom(t, "12"), a.publicRoom(t, "12")
	create := func(r *rooms.Room) json.RawMessage {
		e, err := a.rooms.Event(t.Context(), r, alice, r.ID().CreateEventID())
		if err != nil {
			t.Fatal(err)
		}
		return json.RawMessage(e.JSON)
	}
	var forged map[string]any
	if err := json.Unmarshal(create(room), &forged); err != nil {
		t.Fatal(err)
	}
	forged["signatures"] = object{string(home): object{"ed25519:1": "AAAA"}}
	claim := func(typ string, more object) json.RawMessage {
		e := object{"type": typ, "state_key": "", "sender": "@mallory:" + string(home), "content": object{"name": "Hall"}}
		maps.Copy(e, more)
		raw, _ := json.Marshal(e)
		return raw
	}
	tampered, _ := json.Marshal(forged)
	topic := a.must(t, room, rooms.Draft{Sender: alice, Type: "m.room.topic", StateKey: new(string), Content: json.RawMessage(`{"topic":"x"}`)})[0]
	m := &remote{t: t, r: a, room: room, key: w.keys[home]}
	invite := func(user matrix.UserID, shown []json.RawMessage) error {
		key := string(user)
		e := m.on(topic.After(), rooms.Draft{Sender: alice, Type: "m.room.member", StateKey: &key, Content: json.RawMessage(`{"membership":"invite"}`)}, topic.Event)
		_, err := d.rooms.AcceptInvite(t.Context(), home, "12", room.ID(), e.ID, json.RawMessage(e.JSON), shown)
		return err
	}
	asked := 0
	for what, c := range map[string]struct {
		shown []json.RawMessage
		types []string // nil: refused
	}{
		"nothing":                {nil, []string{}},
		"proof":                  {[]json.RawMessage{create(room), claim("m.room.name", nil)}, []string{"m.room.create", "m.room.name"}},
		"claims":                 {[]json.RawMessage{claim("m.room.create", nil), claim("m.room.name", nil)}, []string{"m.room.name"}},
		"a claim with its time":  {[]json.RawMessage{claim("m.room.create", object{"origin_server_ts": 1}), claim("m.room.name", nil)}, []string{"m.room.name"}},
		"another room's":         {[]json.RawMessage{create(other)}, nil},
		"no good signature":      {[]json.RawMessage{tampered}, nil},
		"half an event":          {[]json.RawMessage{claim("m.room.create", object{"depth": 1})}, nil},
		"half an event, no name": {[]json.RawMessage{create(room), claim("m.room.name", object{"depth": 1})}, nil},
	} {
		asked++
		user := matrix.UserID("@erik" + strconv.Itoa(asked) + ":" + string(there))
		d.account(t, user)
		err := invite(user, c.shown)
		if c.types == nil {
			if !matrix.HasCode(err, matrix.CodeInvalidParam) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if types := d.shownTo(t, room.ID(), user); !slices.Equal(types, c.types) {
			t.Errorf("%s: shows %v", what, types)
		}
	}
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	frida := matrix.UserID("@frida:" + string(there))
	d.account(t, frida)
	if err := invite(frida, []json.RawMessage{create(other)}); err != nil {
		t.Errorf("from inside: %v", err)
	}
}

// shownTo are the types of what a room that is elsewhere shows to somebody.
func (r *rig) shownTo(t *testing.T, id matrix.RoomID, user matrix.UserID) []string {
	t.Helper()
	m, err := r.rooms.Standing(t.Context(), r.known(t, id), user)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.rooms.Outside(t.Context(), &m)
	var list []struct{ Type string }
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	types := []string{}
	for _, e := range list {
		types = append(types, e.Type)
	}
	return types
}

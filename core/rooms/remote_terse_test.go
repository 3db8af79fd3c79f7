package rooms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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

// An invitation that shows nothing of a room is refused where its id must be proven, unless the invited server is in the room itself.
func TestInvitationsThatShowNothing(t *testing.T) {
	w := &wire{}
	a, d := w.server(t, home, sqliteURL(t)), w.server(t, there, sqliteURL(t))
	a.account(t, alice)
	d.account(t, dora)
	erik := matrix.UserID("@erik:" + string(there))
	d.account(t, erik)
	room := a.publicRoom(t, "12")
	key := string(erik)
	e := a.must(t, room, rooms.Draft{Sender: alice, Type: "m.room.topic", StateKey: new(string), Content: json.RawMessage(`{"topic":"x"}`)})[0]
	m := &remote{t: t, r: a, room: room, key: w.keys[home]}
	invite := m.on(e.After(), rooms.Draft{Sender: alice, Type: "m.room.member", StateKey: &key, Content: json.RawMessage(`{"membership":"invite"}`)}, e.Event)
	accept := func() error {
		_, err := d.rooms.AcceptInvite(t.Context(), home, "12", room.ID(), invite.ID, json.RawMessage(invite.JSON), nil)
		return err
	}
	if err := accept(); !matrix.HasCode(err, matrix.CodeInvalidParam) {
		t.Errorf("from outside: %v", err)
	}
	d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
	if err := accept(); err != nil {
		t.Errorf("from inside: %v", err)
	}
}

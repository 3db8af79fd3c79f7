package rooms_test

import (
	"context"
	"encoding/json"
	"testing"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// adding is a wire on which a resident tells more than there is: state, and events for it to rest on, and another room version.
type adding struct {
	*wire
	auth, state []json.RawMessage
	version     string
}

func (a *adding) MakeMembership(ctx context.Context, from, to matrix.ServerName, act string, room matrix.RoomID, user matrix.UserID,
	versions []string) (string, json.RawMessage, error) {
	version, raw, err := a.wire.MakeMembership(ctx, from, to, act, room, user, versions)
	if a.version != "" {
		version = a.version
	}
	return version, raw, err
}

func (a *adding) SendJoin(ctx context.Context, from, to matrix.ServerName, e *matrix.Event, take func(bool, json.RawMessage) error) (*core.JoinState, error) {
	out, err := a.wire.SendJoin(ctx, from, to, e, take)
	for i, list := range [][]json.RawMessage{a.auth, a.state} {
		for _, raw := range list {
			if err == nil {
				err = take(i == 1, raw)
			}
		}
	}
	return out, err
}

var topicTuple = matrix.StateTuple{Type: "m.room.topic"}

// Of what a resident tells of a room that is entered nothing counts that its senders' servers have not signed, or that is of another room,
// though all that it rests on is told too.
func TestWhatAResidentAddsToARoom(t *testing.T) {
	for name, add := range map[string]func(t *testing.T, a *rig, room *rooms.Room, w *adding){
		"forged": func(t *testing.T, a *rig, room *rooms.Room, w *adding) {
			key, err := matrix.GenerateSigningKey(home)
			if err != nil {
				t.Fatal(err)
			}
			last := a.must(t, room, text(alice, "last"))[0]
			m := &remote{t: t, r: a, room: room, key: key}
			w.state = append(w.state, json.RawMessage(m.on(last.After(), state(alice, "m.room.topic", "", object{"topic": "forged"}), last.Event).JSON))
		},
		"of another room": func(t *testing.T, a *rig, _ *rooms.Room, w *adding) {
			other := a.publicRoom(t, "10")
			topic := a.must(t, other, state(alice, "m.room.topic", "", object{"topic": "elsewhere"}))[0]
			_, auth, err := a.rooms.StateWithAuth(t.Context(), other, topic.After())
			if err != nil {
				t.Fatal(err)
			}
			w.auth = append(w.auth, raws(auth)...)
			v, err := a.rooms.Current(t.Context(), other)
			if err != nil {
				t.Fatal(err)
			}
			all, err := v.All(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.auth = append(w.auth, raws(all)...)
			w.state = append(w.state, json.RawMessage(topic.JSON))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{}
			a := w.server(t, home, sqliteURL(t))
			hostile := &adding{wire: w}
			d := w.serverBehind(t, there, sqliteURL(t), hostile)
			a.account(t, alice)
			d.account(t, dora)
			room := a.publicRoom(t, "10")
			add(t, a, room, hostile)
			d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
			if id := d.stateOf(t, room.ID())[topicTuple]; id != "" {
				t.Errorf("the room has a topic: %s", id)
			}
		})
	}
}

// A room is of the version that its create event says, whatever a resident says of it: versions 9 and 10 look alike, and judge otherwise.
func TestARoomOfAnotherVersionThanTold(t *testing.T) {
	w := &wire{}
	a := w.server(t, home, sqliteURL(t))
	hostile := &adding{wire: w, version: "9"}
	d := w.serverBehind(t, there, sqliteURL(t), hostile)
	a.account(t, alice)
	d.account(t, dora)
	room := a.publicRoom(t, "10")
	entry := rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}}
	if err := d.rooms.JoinVia(t.Context(), entry); err == nil {
		t.Fatal("the room was entered as one of version 9")
	}
	hostile.version = ""
	d.enters(t, entry) // the lie is forgotten
	if got := d.known(t, room.ID()).Version().ID; got != "10" {
		t.Errorf("the room is of version %s", got)
	}
}

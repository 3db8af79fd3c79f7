package rooms_test

import (
	"encoding/json"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// foreign builds an event as another server would, on given previous events and the auth events of the present state.
func (r *rig) foreign(t testing.TB, room *rooms.Room, sender matrix.UserID, prev *rooms.Stored, body string) *matrix.Event {
	t.Helper()
	key, err := matrix.GenerateSigningKey(sender.Server())
	if err != nil {
		t.Fatal(err)
	}
	content, _ := json.Marshal(object{"msgtype": "m.text", "body": body})
	view, err := r.rooms.Current(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	p := matrix.Proto{RoomID: room.ID(), Sender: sender, Type: "m.room.message", Content: content, PrevEvents: []matrix.EventID{prev.ID},
		Depth: prev.Depth + 1, OriginServerTS: prev.OriginServerTS + 1}
	for _, tuple := range authrules.NeededAuthTypes(sender, p.Type, nil, content, room.Version()) {
		e, err := view.Get(t.Context(), tuple)
		if err != nil {
			t.Fatal(err)
		}
		if e != nil {
			p.AuthEvents = append(p.AuthEvents, e.ID)
		}
	}
	e, err := room.Version().Build(p, key)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What was rejected or soft-failed is shown to nobody, by no way of reading; what was redacted is shown without content.
func TestHiddenEvents(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.publicRoom(t, "10")
		const mallory = matrix.UserID("@mallory:other.example")
		join := r.must(t, room, state(mallory, "m.room.member", string(mallory), object{"membership": "join"}))[0]
		late := r.foreign(t, room, mallory, join, "from before the ban")
		ban := r.must(t, room, state(alice, "m.room.member", string(mallory), object{"membership": "ban"}))[0]
		forbidden := r.foreign(t, room, mallory, ban, "after the ban")
		out, err := r.rooms.Receive(t.Context(), room.ID(), []*matrix.Event{late, forbidden}, rooms.Arrival{From: "other.example"})
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range out {
			if o.Refused == nil || o.Err != nil {
				t.Fatalf("event %d: refused %v, error %v; want a refusal", i, o.Refused, o.Err)
			}
		}
		kept := r.must(t, room, text(alice, "kept"))[0]
		if got := r.reads(t, room, alice); got != "kept" {
			t.Errorf("the timeline reads %q, want only what was accepted", got)
		}
		for _, e := range []*matrix.Event{late, forbidden} {
			if _, err := r.rooms.Event(t.Context(), room, alice, e.ID); !matrix.HasCode(err, matrix.CodeNotFound) {
				t.Errorf("an event that was refused can be read: %v", err)
			}
			if _, err := r.rooms.Context(t.Context(), room, alice, e.ID, 10, nil); !matrix.HasCode(err, matrix.CodeNotFound) {
				t.Errorf("an event that was refused has a context: %v", err)
			}
		}
		around, err := r.rooms.Context(t.Context(), room, alice, ban.ID, 10, nil)
		if err != nil || len(around.After) != 1 || around.After[0].ID != kept.ID {
			t.Errorf("around the ban stand %d events, %v; want the one that was kept", len(around.After), err)
		}
		if _, err := r.rooms.Redact(t.Context(), rooms.SendRequest{Room: room, Sender: alice}, kept.ID, ""); err != nil {
			t.Fatal(err)
		}
		page, err := r.rooms.Messages(t.Context(), room, alice, rooms.MessagesRequest{Backward: true, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		if e := page.Events[1]; e.ID != kept.ID || string(e.Content) != "{}" || e.RedactedBy == nil {
			t.Errorf("the redacted message reads %s", e.Content)
		}
	})
}

package rooms_test

import (
	"encoding/json"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// A gap is filled where a part of it is here without its place, since it came with the state of something else: it gets its place, and what follows
// it enters the room.
func TestAGapAroundWhatHasNoPlace(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		said := a.messages(t, room, alice, 1)[0]
		topic := a.must(t, room, state(alice, "m.room.topic", "", object{"topic": "new"}))[0]
		last := a.messages(t, room, alice, 1)[0]
		if _, err := d.rooms.Receive(ctx, room.ID(), []*matrix.Event{topic.Event}, rooms.Arrival{From: home, Outliers: true}); err != nil {
			t.Fatal(err)
		}
		inbox := d.inboxOf(t)
		if _, err := inbox.Take(ctx, home, []json.RawMessage{json.RawMessage(last.JSON)}); err != nil {
			t.Fatal(err)
		}
		inbox.Wait()
		for _, e := range []*rooms.Stored{said, topic, last} {
			if got := d.event(t, d.known(t, room.ID()), e.ID); !got.Before().Known() {
				t.Errorf("%s has no place", e.Type)
			}
		}
		if got := d.stateOf(t, room.ID())[matrix.StateTuple{Type: "m.room.topic"}]; got != topic.ID {
			t.Errorf("the topic is %s, asked: %v", got, w.calls)
		}
		if n := w.called("state_ids"); n > 0 {
			t.Errorf("state was asked for %d times", n)
		}
	})
}

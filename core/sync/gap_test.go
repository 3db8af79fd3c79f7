package sync_test

import (
	"encoding/json"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// Where the server itself missed something before an event, the timeline begins there and says so.
func TestHolesInTheRoomLimitTheTimeline(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		bob.next()
		alice.say(room, "one")
		content, _ := json.Marshal(object{"msgtype": "m.text", "body": "two"})
		_, err := r.rooms.Send(ctx, rooms.SendRequest{Room: room, Sender: alice.id(), Type: "m.room.message", Content: content,
			After: func(e *rooms.Stored) ([]storage.Row, error) {
				e.Row.Flags |= storage.FlagGap // as an event from elsewhere whose predecessors could not be had
				return nil, nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		alice.say(room, "three")
		check := func(when string) {
			t.Helper()
			a := bob.next()
			j := a.joined(room)
			if got := j.Timeline.bodies(); !slices.Equal(got, []string{"two", "three"}) || !j.Timeline.Limited {
				t.Fatalf("%s: %q, limited %v", when, got, j.Timeline.Limited)
			}
			from, err := matrix.ParsePageToken(j.Timeline.Prev)
			if err != nil {
				t.Fatal(err)
			}
			page, err := r.rooms.Messages(ctx, room, bob.id(), rooms.MessagesRequest{From: &from, Backward: true, Limit: 1})
			if err != nil || len(page.Events) != 1 {
				t.Fatalf("%s: before the hole: %v, %v", when, page, err)
			}
			var c struct{ Body string }
			if json.Unmarshal(page.Events[0].Content, &c) != nil || c.Body != "one" {
				t.Errorf("%s: before the hole stands %q", when, c.Body)
			}
		}
		since := bob.since
		check("from memory")
		r.stop()
		r = newRig(t, url)
		if room, err = r.rooms.Room(ctx, room.ID()); err != nil {
			t.Fatal(err)
		}
		bob = bob.on(r)
		bob.since = since
		check("from storage")
	})
}

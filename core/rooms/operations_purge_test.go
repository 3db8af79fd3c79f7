package rooms_test

import (
	"fmt"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// A purge takes the messages before an event and nothing else; the room goes on.
func TestPurge(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room, other := r.create(t, &rooms.CreateRequest{}), r.create(t, &rooms.CreateRequest{})
		var ids []matrix.EventID
		for i := range 1200 {
			ids = append(ids, r.must(t, room, text(alice, fmt.Sprint(i)))[0].ID)
			if i%400 == 0 {
				r.must(t, room, state(alice, "m.room.topic", "", object{"topic": fmt.Sprint(i)}))
			}
		}
		r.must(t, other, text(alice, "stays"))
		n, err := r.rooms.Purge(t.Context(), room, ids[1100])
		if err != nil || n != 1100 {
			t.Fatalf("purged %d, %v; want 1100", n, err)
		}
		page, err := r.rooms.Messages(t.Context(), room, alice, rooms.MessagesRequest{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var messages []matrix.EventID
		topics := 0
		for _, e := range page.Events {
			switch e.Type {
			case "m.room.message":
				messages = append(messages, e.ID)
			case "m.room.topic":
				topics++
			}
		}
		if !slices.Equal(messages, ids[1100:]) || topics != 3 {
			t.Errorf("%d messages and %d topics are left, want 100 and 3", len(messages), topics)
		}
		if _, err := r.rooms.Event(t.Context(), room, alice, ids[0]); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("a purged event: %v", err)
		}
		if got := r.reads(t, other, alice); got != "stays" {
			t.Errorf("the other room reads %q", got)
		}
		join := r.must(t, other, text(alice, "later"))
		if _, err := r.rooms.Purge(t.Context(), room, join[0].ID); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("an event of another room: %v", err)
		}
	})
}

// A head stays, also when it is older than the end of the purge: the next event refers to it.
func TestPurgeKeepsHeads(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.publicRoom(t, "10")
		const carol = matrix.UserID("@carol:other.example")
		join := r.must(t, room, state(carol, "m.room.member", string(carol), object{"membership": "join"}))[0]
		gone := r.must(t, room, text(alice, "gone"))[0]
		one, two := r.foreign(t, room, carol, gone, "one head"), r.foreign(t, room, carol, join, "another head")
		if _, err := r.rooms.Receive(t.Context(), room.ID(), []*matrix.Event{one, two}, rooms.Arrival{From: "other.example"}); err != nil {
			t.Fatal(err)
		}
		if n, err := r.rooms.Purge(t.Context(), room, two.ID); err != nil || n != 1 {
			t.Fatalf("purged %d, %v; want 1", n, err)
		}
		if got := r.reads(t, room, alice); got != "one head another head" {
			t.Errorf("the room reads %q, want both heads", got)
		}
		if last := r.must(t, room, text(alice, "on"))[0]; len(last.PrevEvents) != 2 {
			t.Errorf("the next event refers to %v, want both heads", last.PrevEvents)
		}
	})
}

package sync_test

import (
	"slices"
	"testing"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/testkit/pgtest"
)

// An event that another process redacted is shown redacted from then on: what was ready in memory goes.
func TestRedactionOfAnotherNode(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r, other := newRig(t, url), newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		bob.next()
		before := bob.since
		id := alice.say(room, "secret")
		alice.say(room, "after")
		if got := bob.next().joined(room).Timeline.bodies(); !slices.Equal(got, []string{"secret", "after"}) {
			t.Fatalf("before the redaction: %v", got)
		}
		there, err := other.rooms.Room(ctx, room.ID())
		if err == nil {
			_, err = other.rooms.Redact(ctx, rooms.SendRequest{Room: there, Sender: alice.id()}, id, "")
		}
		if err != nil {
			t.Fatal(err)
		}
		bob.ask(syncing.Request{Timeout: eventually}) // until this process has heard of it
		bob.since = before
		if got := bob.ask(syncing.Request{}).joined(room).Timeline.bodies(); !slices.Equal(got, []string{"after"}) {
			t.Errorf("after the redaction: %v", got)
		}
	})
}

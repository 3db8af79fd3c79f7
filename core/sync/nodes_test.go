package sync_test

import (
	"testing"

	syncing "rempart/core/sync"
	"rempart/internal/testkit/pgtest"
)

// Who types at one node is seen at the other.
func TestTypingBetweenNodes(t *testing.T) {
	url := pgtest.New(t)
	one, two := newRig(t, url), newRig(t, url)
	alice, bob := one.user("alice"), one.user("bob")
	room := alice.public()
	bob.join(room)
	bob = bob.on(two)
	bob.next()
	for tries := 0; ; tries++ { // Why again: what is ephemeral may be lost while a node starts to listen
		one.type_(alice, room.ID(), tries%2 == 0)
		if a := bob.ask(syncing.Request{Timeout: eventually / 4}); a.Rooms.Join[room.ID()] != nil && a.joined(room).Ephemeral.find("m.typing", "") != nil {
			return
		}
		if tries > 3 {
			t.Fatal("bob never sees alice type")
		}
	}
}

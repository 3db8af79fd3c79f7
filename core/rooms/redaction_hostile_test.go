package rooms_test

import (
	"runtime/debug"
	"testing"

	"rempart/core/rooms"
)

// Each event of a chain redacts the one before, as long as somebody likes: whoever reads the first does not read them all, one within the other.
func TestRedactionsOfRedactions(t *testing.T) {
	url := memoryURL(t)
	r := newRig(t, url, nil)
	room := r.publicRoom(t, "10")
	first := r.must(t, room, text(alice, "the first"))[0].ID
	last := first
	for range 1500 {
		id, err := r.rooms.Redact(t.Context(), rooms.SendRequest{Room: room, Sender: alice}, last, "")
		if err != nil {
			t.Fatal(err)
		}
		last = id
	}
	defer debug.SetMaxStack(debug.SetMaxStack(2 << 20)) // beyond which the process ends
	other := newRig(t, url, nil)
	far, err := other.rooms.Room(t.Context(), room.ID())
	if err != nil {
		t.Fatal(err)
	}
	e, err := other.rooms.EventByID(t.Context(), far, first)
	if err != nil || e.RedactedBy == nil || string(e.Content) != "{}" {
		t.Errorf("%v %v", e, err)
	}
}

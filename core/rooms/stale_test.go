package rooms_test

import (
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// What was read of a room before another node wrote is not shown after it: nothing would take it away again.
func TestReadBeforeAnotherNodeWrote(t *testing.T) {
	one, two, room, there := roomOnNodes(t, "11")
	err := there.ReadWhile(t.Context(), func() {
		one.must(t, room, state(alice, "m.room.topic", "", object{"topic": "new"}))
		if err := two.db.CatchUp(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	view, err := two.rooms.Current(t.Context(), there)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := view.Get(t.Context(), matrix.StateTuple{Type: "m.room.topic"}); err != nil || e == nil {
		t.Errorf("the topic at the other node: %v, %v", e, err)
	}
}

// A write whose outcome is known late does not bring back what another node has changed since.
func TestOutcomeKnownLate(t *testing.T) {
	if rooms.EndLate() {
		t.Error("readers see the room as it was before the other node's write")
	}
	if rooms.BuiltBefore() {
		t.Error("readers see a room that lacks one of the writes")
	}
}

// An event that was read before another node redacted it is not kept as it was.
func TestEventReadBeforeRedaction(t *testing.T) {
	one, two := nodes(t)
	room := one.publicRoom(t, "11")
	e := one.must(t, room, text(alice, "secret"))[0]
	kept, err := two.rooms.KeepWhile(t.Context(), e.Row.NID, func() {
		if _, err := one.rooms.Redact(t.Context(), rooms.SendRequest{Room: room, Sender: alice}, e.ID, ""); err != nil {
			t.Error(err)
		}
		if err := two.db.CatchUp(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if err != nil || kept {
		t.Errorf("the unredacted form is kept: %v, %v", kept, err)
	}
	again, err := two.rooms.Events(t.Context(), []int64{e.Row.NID})
	if err != nil || again[0].RedactedBy == nil {
		t.Errorf("redacted at the other node: %v", err)
	}
}

package rooms_test

import (
	"maps"
	"strings"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// A room is told state first, and more of it than is held until what it rests on is told: the rest is asked for again.
func TestJoinHoldsNoMoreThanItMay(t *testing.T) {
	w, a, d := twoServers(t, sqliteURL(t))
	for _, version := range []string{"10", "12"} {
		room := a.publicRoom(t, version)
		long := strings.Repeat("x", 60_000)
		for i := range 300 { // 17 MiB
			a.must(t, room, state(alice, "org.example.long", string(rune('a'+i/26))+string(rune('a'+i%26)), object{"text": long}))
		}
		levels, err := a.rooms.Current(t.Context(), room)
		if err != nil {
			t.Fatal(err)
		}
		old, err := levels.Get(t.Context(), matrix.StateTuple{Type: "m.room.power_levels"})
		if err != nil || old == nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(old.Content), `"ban":50`, `"ban":60`, 1)
		a.must(t, room, rooms.Draft{Sender: alice, Type: "m.room.power_levels", StateKey: new(string), Content: []byte(changed)})
		asked := w.called("state")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		if here, far := a.stateOf(t, room.ID()), d.stateOf(t, room.ID()); !maps.Equal(here, far) {
			t.Errorf("version %s: state differs: %d and %d", version, len(here), len(far))
		}
		if n := w.called("state") - asked; n != 1 {
			t.Errorf("version %s: asked %d times for what was not held", version, n)
		}
	}
}

// What was said while the way between two servers was cut is fetched when the other is reached again, without waiting for it to tell.
func TestReturnedServersAreAsked(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		a.messages(t, room, alice, 5)
		d.rooms.Returned(t.Context(), home)
		page := d.page(t, room.ID(), dora, 10)
		if want := "message 4"; len(page) == 0 || page[len(page)-1] != want && page[0] != want {
			t.Errorf("knows %q", page)
		}
		asked := w.called("timestamp_to_event")
		d.rooms.Returned(t.Context(), home)
		if w.called("timestamp_to_event") != asked {
			t.Error("asked again at once")
		}
		d.rooms.Returned(t.Context(), "elsewhere.example")
		if w.called("timestamp_to_event") != asked {
			t.Error("asked a server that is not in the room")
		}
	})
}

package rooms_test

import (
	"testing"

	"rempart/internal/matrix"
)

// Who of a server had to do with a room is looked for once, among all members, and again when somebody's membership changed: a room shows
// itself to the server of who is invited, and no more when he has gone.
func TestWhoOfAServerHadToDoWithARoomIsRemembered(t *testing.T) {
	_, a, _ := twoServers(t, sqliteURL(t))
	room := a.publicRoomOf(t, alice, "closed", "")
	a.must(t, room, state(alice, "m.room.join_rules", "", object{"join_rule": "invite"}))
	shown := func() bool {
		t.Helper()
		_, err := a.rooms.ServeHierarchy(t.Context(), there, home, room.ID(), false)
		if err != nil && !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	member := func(membership string) {
		a.must(t, room, state(alice, "m.room.member", string(dora), object{"membership": membership}))
	}
	if shown() {
		t.Error("a room shows itself to a server that has nobody there")
	}
	if found, held := a.rooms.Remembered(room, there); !found || held == 0 {
		t.Errorf("that %s has nobody there is looked for again: %d are remembered", there, held)
	}
	for range 2 {
		member("invite")
		if found, _ := a.rooms.Remembered(room, there); found || !shown() {
			t.Error("who was invited does not count")
		}
		member("leave")
		if found, _ := a.rooms.Remembered(room, there); found || shown() {
			t.Error("who has gone still counts")
		}
	}
	if _, held := a.rooms.Remembered(room, there); held > 10 {
		t.Errorf("%d people are remembered of a room of two", held)
	}
}

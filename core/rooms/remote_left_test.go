package rooms_test

import (
	"encoding/json"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// What a server's last user said before he left, and that he left, is given to those who heard of his leaving alone: else he would stay in the
// room for ever where they are.
func TestWhoHasLeftStillGivesWhatHeSaid(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w, a, d := twoServers(t, url)
		room := a.publicRoom(t, "11")
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		far := d.known(t, room.ID())
		said := d.messages(t, far, dora, 3)
		leave := d.must(t, far, state(dora, "m.room.member", string(dora), object{"membership": "leave"}))[0]
		inbox := a.inboxOf(t)
		if _, err := inbox.Take(t.Context(), there, []json.RawMessage{json.RawMessage(leave.JSON)}); err != nil {
			t.Fatal(err)
		}
		inbox.Wait()
		if got := a.stateOf(t, room.ID())[matrix.StateTuple{Type: "m.room.member", Key: string(dora)}]; got != leave.ID {
			t.Errorf("she is there by %s, and has left by %s; asked: %v", got, leave.ID, w.calls)
		}
		a.event(t, room, said[0].ID)
		// Who never was in the room is told nothing of it, and nobody comes in through who has left.
		w.server(t, "stranger.example", sqliteURL(t))
		if _, err := d.rooms.ServeEvent(t.Context(), "stranger.example", said[0].ID); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("a stranger is told: %v", err)
		}
		if _, _, err := d.rooms.MakeMembership(t.Context(), home, "join", room.ID(), "@new:home.example", []string{"11"}); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("somebody is let in: %v", err)
		}
	})
}

package rooms_test

import (
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// state_ids names just what state gives, in versions whose events name the create event and in those where the room's id is its name.
func TestStateIDsNameWhatStateGives(t *testing.T) {
	for _, version := range []string{"10", "11", "12"} {
		t.Run(version, func(t *testing.T) {
			_, a, d := twoServers(t, sqliteURL(t))
			room := a.publicRoom(t, version)
			d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
			a.must(t, room, state(alice, "m.room.name", "", object{"name": "one"}))
			a.must(t, room, state(alice, "m.room.name", "", object{"name": "two"}))
			last := a.must(t, room, text(alice, "here"))[0].ID
			state, auth, err := a.rooms.ServeState(t.Context(), there, room.ID(), last)
			if err != nil {
				t.Fatal(err)
			}
			ids1, ids2, err := a.rooms.ServeStateIDs(t.Context(), there, room.ID(), last)
			if err != nil || len(ids1) == 0 || !sameIDs(ids(state), ids1) || !sameIDs(ids(auth), ids2) {
				t.Errorf("names %v and %v (%v), gives %v and %v", ids1, ids2, err, ids(state), ids(auth))
			}
		})
	}
}

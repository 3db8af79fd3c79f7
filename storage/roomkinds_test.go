package storage

import (
	"fmt"
	"maps"
	"testing"

	"rempart/internal/matrix"
)

// Of a user's rooms those are listed that have a type, or of which it is not known; what is found out later is kept, and does not
// change what is known.
func TestRoomKinds(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		const user = 7
		for nid, kind := range map[int64]RoomKind{1: KindOf(""), 2: KindOf("m.space"), 3: "", 4: "", 5: KindOf("m.space")} {
			c := &Change{}
			row := &RoomRow{NID: nid, RoomID: matrix.RoomID(fmt.Sprint("!r", nid, ":x")), RoomVersion: "12", Kind: kind}
			c.Rooms = []RoomWrite{{Room: nid, NewRoom: row}}
			membership := MemberJoin
			if nid == 5 {
				membership = MemberLeave
			}
			c.Add(row, &MembershipRow{User: user, Room: nid, Membership: membership})
			r.commit(t, c)
		}
		check := func(want map[int64]RoomKind) {
			t.Helper()
			got, err := r.ListRoomKinds(t.Context(), user)
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("got %v (%v), want %v", got, err, want)
			}
		}
		check(map[int64]RoomKind{2: "m.space", 3: "", 4: ""})
		c := &Change{}
		c.Guard(SetRoomKind(1, "m.space"), SetRoomKind(2, KindOf("")), SetRoomKind(3, KindOf("")), SetRoomKind(4, "org.kind"))
		r.commit(t, c)
		check(map[int64]RoomKind{2: "m.space", 4: "org.kind"})
		if KindOf("").Type() != "" || RoomKind("m.space").Type() != "m.space" || RoomKind("").Type() != "" {
			t.Error("types behind kinds")
		}
	})
}

package rooms_test

import (
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// Rooms that one user makes in the same millisecond differ in their create events, and no event of theirs is older than
// the one it follows: jump to date finds them in order.
func TestRoomsOfOneMillisecond(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		ids := map[matrix.RoomID]bool{}
		for range 20 {
			room := r.create(t, &rooms.CreateRequest{Preset: "public_chat", RoomVersion: "12"})
			ids[room.ID()] = true
			page, err := r.rooms.Messages(t.Context(), room, alice, rooms.MessagesRequest{Limit: 50})
			if err != nil {
				t.Fatal(err)
			}
			last := int64(0)
			for _, e := range page.Events {
				if e.OriginServerTS < last {
					t.Fatalf("%s is of %d, the event before it of %d", e.Type, e.OriginServerTS, last)
				}
				last = e.OriginServerTS
			}
		}
		if len(ids) != 20 {
			t.Errorf("%d ids of 20 rooms", len(ids))
		}
	})
}

package rooms_test

import (
	"fmt"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// BenchmarkJoinVia enters a room of 2,000 members that is elsewhere: checking, storing, becoming visible.
func BenchmarkJoinVia(b *testing.B) {
	w := &wire{}
	a := w.server(b, home, sqliteURL(b))
	a.account(b, alice)
	room := a.publicRoom(b, "11")
	a.crowd(b, room, 2000)
	for n := 0; b.Loop(); n++ {
		guest := matrix.UserID(fmt.Sprintf("@guest:there%d.example", n))
		d := w.server(b, guest.Server(), sqliteURL(b))
		d.account(b, guest)
		d.enters(b, rooms.Entry{Room: room.ID(), User: guest, Via: []matrix.ServerName{home}})
	}
}

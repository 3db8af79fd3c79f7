package rooms_test

import (
	"fmt"
	"sync"
	"testing"

	"rempart/core/rooms"
)

// Messages of eight senders at each of two nodes into one room.
func BenchmarkTwoNodes(b *testing.B) {
	one, two := nodes(b)
	id := one.publicRoom(b, "12").ID()
	var all sync.WaitGroup
	b.ResetTimer()
	for _, r := range []*rig{one, two} {
		room, err := r.rooms.Room(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		for sender := range 8 {
			all.Go(func() { sendMany(b, r, room, sender, b.N/16+1) })
		}
	}
	all.Wait()
}

func sendMany(tb testing.TB, r *rig, room *rooms.Room, sender, n int) {
	for i := range n {
		if _, err := r.send(tb.Context(), room, text(alice, fmt.Sprintf("%p %d %d", r, sender, i))); err != nil {
			tb.Error(err)
			return
		}
	}
}

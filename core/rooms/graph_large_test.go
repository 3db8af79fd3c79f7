package rooms_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// BenchmarkLargeFork resolves a fork of ten sides in a room of 50,000 members: 20 state changes a side.
func BenchmarkLargeFork(b *testing.B) {
	r := newRig(b, sqliteURL(b), nil)
	room := r.publicRoom(b, "12")
	const members, sides = 50_000, 10
	r.crowd(b, room, members)
	m := r.remote(b, room)
	base := r.must(b, room, text(alice, "base"))[0]
	tips := make([]*rooms.Stored, sides)
	for s := range sides {
		tips[s] = base
		for k := range 20 {
			tips[s] = m.accept(m.on(tips[s].After(), sideChange(s, k), tips[s].Event))
		}
	}
	b.ResetTimer()
	var spent time.Duration
	var bytes uint64
	for n := range b.N {
		s := n % sides
		d := state(alice, "m.room.topic", "", object{"topic": fmt.Sprint("again ", n)})
		e := m.on(tips[s].After(), d, tips[s].Event)
		var was, is runtime.MemStats
		runtime.ReadMemStats(&was)
		start := time.Now()
		tips[s] = m.accept(e) // resolves the states after all ten heads
		spent += time.Since(start)
		runtime.ReadMemStats(&is)
		bytes += is.TotalAlloc - was.TotalAlloc
	}
	b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "ms/resolution")
	b.ReportMetric(float64(bytes)/float64(b.N)/(1<<20), "MiB/resolution")
	if v := m.now(); len(v.Heads()) != sides {
		b.Fatalf("%d heads", len(v.Heads()))
	}
}

// sideChange is one of the state changes of a side.
func sideChange(side, k int) rooms.Draft {
	switch k {
	case 0:
		return state(alice, "m.room.topic", "", object{"topic": fmt.Sprint("side ", side)})
	case 1:
		return state(alice, "m.room.power_levels", "", object{"events": object{"m.room.name": side}})
	case 2:
		return state(alice, "m.room.join_rules", "", object{"join_rule": []string{"public", "invite"}[side%2]})
	}
	victim := matrix.UserID(fmt.Sprintf("@user%d:home.example", side*7+k))
	return state(alice, "m.room.member", string(victim), object{"membership": "ban"})
}

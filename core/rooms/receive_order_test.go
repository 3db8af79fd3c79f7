package rooms

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"rempart/internal/matrix"
)

// Whatever the order in which events come, each is taken after all that it refers to, and none is lost or doubled.
func TestInOrder(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // no secret
		events := make([]*matrix.Event, 1+random.IntN(20))
		for i := range events {
			e := &matrix.Event{ID: matrix.EventID(strconv.Itoa(i))}
			for j := range i {
				switch random.IntN(4) {
				case 0:
					e.PrevEvents = append(e.PrevEvents, events[j].ID)
				case 1:
					e.AuthEvents = append(e.AuthEvents, events[j].ID)
				}
			}
			events[i] = e
		}
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		placed := map[matrix.EventID]bool{}
		for _, e := range inOrder(events) {
			for _, id := range append(append([]matrix.EventID{}, e.PrevEvents...), e.AuthEvents...) {
				if !placed[id] {
					t.Fatalf("seed %d: %s comes before %s, on which it rests", seed, e.ID, id)
				}
			}
			if placed[e.ID] {
				t.Fatalf("seed %d: %s comes twice", seed, e.ID)
			}
			placed[e.ID] = true
		}
		if len(placed) != len(events) {
			t.Fatalf("seed %d: %d of %d events", seed, len(placed), len(events))
		}
	}
	a, b := &matrix.Event{ID: "a", PrevEvents: []matrix.EventID{"b"}}, &matrix.Event{ID: "b", PrevEvents: []matrix.EventID{"a"}}
	if got := inOrder([]*matrix.Event{a, b}); len(got) != 2 {
		t.Errorf("a circle: %d events", len(got))
	}
}

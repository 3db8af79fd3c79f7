package rooms_test

import (
	"fmt"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
)

// States far back are found again, over checkpoints, from memory and after a restart.
func TestOldStates(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.publicRoom(t, "12")
		topic := matrix.StateTuple{Type: "m.room.topic"}
		var marks []*rooms.Stored
		for i := range 24 {
			drafts := make([]rooms.Draft, 100)
			for k := range drafts {
				drafts[k] = state(alice, "m.room.topic", "", object{"topic": fmt.Sprint(i, k)})
				if k%2 == 1 {
					drafts[k] = state(alice, "org.example.state", fmt.Sprint(i, k), object{})
				}
			}
			marks = append(marks, r.must(t, room, drafts...)[98])
		}
		for _, service := range []*rig{r, newRig(t, url, nil)} {
			room, err := service.rooms.Room(t.Context(), room.ID())
			if err != nil {
				t.Fatal(err)
			}
			for i, mark := range marks {
				whole, err := service.rooms.StateAt(t.Context(), room, mark.After())
				if err != nil || len(whole) != 4+1+i*50+49 || whole[mark.Row.StateKey] != mark.Row.NID {
					t.Fatalf("state %d: %d keys, %v; want %d", i, len(whole), err, 4+1+i*50+49)
				}
				one, err := service.rooms.KeyAt(t.Context(), room, mark.After(), topic)
				if err != nil || one == nil || one.ID != mark.ID {
					t.Fatalf("topic %d is %v, %v", i, one, err)
				}
			}
		}
	})
}

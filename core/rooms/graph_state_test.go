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

// Forks of forks of forks: every state is right, and the way to a key stays short.
func TestDeepBranches(t *testing.T) {
	r := newRig(t, sqliteURL(t), nil)
	m := r.remote(t, r.publicRoom(t, "11"))
	base := r.must(t, m.room, text(alice, "base"))[0]
	tip, dead := base, base
	keys := map[string]matrix.EventID{}
	for n := range 70 {
		key := fmt.Sprint("k", n%50)
		dead = m.accept(m.on(tip.After(), state(alice, "org.example.dead", fmt.Sprint(n), object{}), tip.Event))
		tip = m.accept(m.on(tip.After(), state(alice, "org.example.live", key, object{"n": n}), tip.Event))
		keys[key] = tip.ID
		if n%7 == 0 { // joins what lies beside, so that there are few heads
			tip = m.accept(m.on(tip.After(), text(alice, "merge"), tip.Event, dead.Event))
			keys["dead"+fmt.Sprint(n)] = dead.ID
		}
	}
	for _, service := range []*rig{r, newRig(t, r.url, nil)} {
		room, err := service.rooms.Room(t.Context(), m.room.ID())
		if err != nil {
			t.Fatal(err)
		}
		whole, err := service.rooms.StateAt(t.Context(), room, tip.After())
		if err != nil || len(whole) != 4+len(keys) {
			t.Errorf("%d keys, %v; want %d", len(whole), err, 4+len(keys))
		}
		for key, want := range keys {
			tuple := matrix.StateTuple{Type: "org.example.live", Key: key}
			if key[0] == 'd' {
				tuple = matrix.StateTuple{Type: "org.example.dead", Key: key[4:]}
			}
			if got, err := service.rooms.KeyAt(t.Context(), room, tip.After(), tuple); err != nil || got == nil || got.ID != want {
				t.Errorf("%v is %v, %v; want %s", tuple, got, err, want)
			}
		}
	}
	if n := depthOf(t, r, m.room.NID(), tip.After()); n > 25 {
		t.Errorf("%d branches lie under one another", n)
	}
}

func depthOf(t *testing.T, r *rig, room int64, v rooms.Version) int {
	t.Helper()
	n := 0
	for ; v.Branch > 0; n++ {
		b, err := r.db.FindBranch(t.Context(), room, v.Branch)
		if err != nil {
			t.Fatal(err)
		}
		v = rooms.Version{Branch: b.BaseBranch, Seq: b.BaseSeq}
	}
	return n
}

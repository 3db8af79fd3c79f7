package rooms_test

import (
	"os"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/matrix/graphgen"
)

// A long fork: the states are the oracle's, and what is stored for them follows the changes, not the room's size.
func TestLongFork(t *testing.T) {
	versions, events := []string{"11"}, 400
	if proving(os.Getenv) {
		versions, events = []string{"1", "2", "6", "10", "11", "12"}, 2010
	}
	for _, version := range versions {
		t.Run("v"+version, func(t *testing.T) {
			v, _ := matrix.Version(version)
			g := graphgen.New(5, v, graphgen.Options{Unsigned: true, Tame: true, Close: true, Events: events, Users: 12, Sides: 2,
				Room: "fork"})
			r := newRig(t, sqliteURL(t), nil)
			if !checkGraph(t, r, g, g.Events) {
				return
			}
			changes := 0
			for _, e := range g.Events {
				if e.IsState() && !g.Room.Rejected[e.ID] {
					changes++
				}
			}
			rows := countStateRows(t, r, g)
			t.Logf("%d events, %d of them state: %d rows", len(g.Events), changes, rows)
			if rows > 3*len(g.Events) {
				t.Errorf("%d rows for %d events", rows, len(g.Events))
			}
		})
	}
}

// countStateRows counts the rows of all branches that events refer to.
func countStateRows(t *testing.T, r *rig, g *graphgen.Graph) int {
	t.Helper()
	room, err := r.rooms.Room(t.Context(), g.Events[0].RoomID)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	n := 0
	count := func(v rooms.Version) {
		if seen[v.Branch] {
			return
		}
		seen[v.Branch] = true
		rows, err := r.db.ListStateRows(t.Context(), room.NID(), v.Branch, 0, 1<<62)
		if err != nil {
			t.Fatal(err)
		}
		n += len(rows)
	}
	count(rooms.Version{})
	for _, e := range g.Events {
		s, err := r.rooms.EventByID(t.Context(), room, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		count(s.Before())
		count(s.After())
	}
	return n
}

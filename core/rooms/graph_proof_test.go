package rooms_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/matrix/graphgen"
	"rempart/storage"
)

// The state before every event and its rejected flag are what the oracle says, in whatever order the events arrive; the
// current state is the resolution of the heads. Several rooms are under way at once, so that their events share commits.
func TestRandomGraphs(t *testing.T) {
	graphs := number(t, "REMPART_GRAPHS", 30, 10_000)
	eachVersion(t, func(t *testing.T, version string) {
		t.Parallel()
		v, _ := matrix.Version(version)
		const piece = 250 // rooms that share a database: a young one is quicker, and memory stays bounded
		for from := 0; from < graphs && !t.Failed(); from += piece {
			checkGraphs(t, v, from, min(from+piece, graphs))
		}
	})
}

// checkGraphs checks the rooms of some seeds, eight at once.
func checkGraphs(t *testing.T, v *matrix.RoomVersion, from, upto int) {
	t.Helper()
	url := memoryURL(t)
	r := newRig(t, url, nil)
	seeds := make(chan int)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for seed := range seeds {
				if !t.Failed() && !checkSeed(t, r, v, seed) {
					t.Errorf("version %s, seed %d", v.ID, seed)
				}
			}
		})
	}
	for seed := from; seed < upto; seed++ {
		seeds <- seed
	}
	close(seeds)
	all.Wait()
	r.close(t)
	r.db, r.rooms, r.lives = nil, nil, nil // Why: the test's cleanup holds the rig, and its caches, to the end
	if err := os.RemoveAll(filepath.Dir(url)); err != nil {
		t.Error(err)
	}
}

func checkSeed(t *testing.T, r *rig, v *matrix.RoomVersion, seed int) bool {
	g, arrival := seeded(v, seed)
	return checkGraph(t, r, g, arrival)
}

// seeded is the random room of a number: every second one ends in one head, two of three arrive out of order.
func seeded(v *matrix.RoomVersion, seed int) (g *graphgen.Graph, arrival []*matrix.Event) {
	g = graphgen.New(uint64(seed), v, graphgen.Options{Unsigned: true, Close: seed%2 == 0, Room: fmt.Sprint("r", seed)})
	if seed%3 == 0 {
		return g, g.Events
	}
	return g, g.Shuffled(uint64(seed) * 7)
}

// The same on every engine, for a few graphs of each version.
func TestRandomGraphsOnEngines(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		eachVersion(t, func(t *testing.T, version string) {
			v, _ := matrix.Version(version)
			for seed := range uint64(3) {
				g := graphgen.New(1000+seed, v, graphgen.Options{Unsigned: true, Close: true, Room: fmt.Sprint("v", version, "-", seed)})
				checkGraph(t, r, g, g.Shuffled(seed))
			}
		})
	})
}

// checkGraph receives the events one by one and compares everything with the oracle.
func checkGraph(t *testing.T, r *rig, g *graphgen.Graph, events []*matrix.Event) bool {
	t.Helper()
	refused, ok := receiveAll(t, r, events)
	if !ok {
		return false
	}
	room, err := r.rooms.Room(t.Context(), events[0].RoomID)
	if err != nil {
		t.Error(err)
		return false
	}
	names := newNames(t, r, room)
	soft := false
	for _, e := range events {
		s, err := r.rooms.EventByID(t.Context(), room, e.ID)
		if err != nil {
			t.Error(err)
			return false
		}
		if got, want := s.Has(storage.FlagRejected), g.Room.Rejected[e.ID]; got != want {
			t.Errorf("%s (%s) rejected: %v (%v), want %v (%v)", e.ID, e.Type, got, refused[e.ID], want, g.Room.Why[e.ID])
			return false
		}
		soft = soft || s.Has(storage.FlagSoftFailed)
		names.events[s.Row.NID] = e.ID
		if !names.same("before "+string(e.ID)+" "+e.Type, s.Before(), g.Room.Before[e.ID]) {
			return false
		}
		if !names.same("after "+string(e.ID)+" "+e.Type, s.After(), g.Room.After[e.ID]) {
			return false
		}
	}
	view, err := r.rooms.Current(t.Context(), room)
	if err != nil {
		t.Error(err)
		return false
	}
	if heads := view.Heads(); !soft && !sameIDs(heads, g.Room.Heads()) {
		t.Errorf("heads %v, want %v", heads, g.Room.Heads())
		return false
	}
	return names.same("current", view.Version(), g.Room.StateAfter(view.Heads())) && names.members(view)
}

// receiveAll gives the events to the room one by one; those that it rejects have a reason.
func receiveAll(t *testing.T, r *rig, events []*matrix.Event) (refused map[matrix.EventID]error, ok bool) {
	t.Helper()
	refused = map[matrix.EventID]error{}
	for _, e := range events {
		out, err := r.rooms.Receive(t.Context(), events[0].RoomID, []*matrix.Event{e}, rooms.Arrival{From: "remote.example"})
		if err != nil || out[0].Err != nil {
			t.Errorf("receive %s: %v %v", e.ID, err, out)
			return nil, false
		}
		refused[e.ID] = out[0].Refused
	}
	return refused, true
}

func sameIDs(a, b []matrix.EventID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

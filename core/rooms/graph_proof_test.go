package rooms_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/matrix/graphgen"
	"rempart/internal/matrix/stateres/naive"
	"rempart/storage"
)

// The state before every event and its rejected flag are what the oracle says, in whatever order the events arrive; the
// current state is the resolution of the heads.
func TestRandomGraphs(t *testing.T) {
	graphs := 30
	if proving(os.Getenv) {
		graphs = 10_000
	}
	eachVersion(t, func(t *testing.T, version string) {
		t.Parallel()
		v, _ := matrix.Version(version)
		r := newRig(t, sqliteURL(t), nil)
		for seed := range graphs {
			g := graphgen.New(uint64(seed), v, graphgen.Options{Unsigned: true, Close: seed%2 == 0, Room: fmt.Sprint("r", seed)})
			events := g.Events
			if seed%3 != 0 {
				events = g.Shuffled(uint64(seed) * 7)
			}
			if !checkGraph(t, r, g, events) {
				t.Fatalf("version %s, seed %d", version, seed)
			}
		}
	})
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
	id := events[0].RoomID
	refused := map[matrix.EventID]error{}
	for _, e := range events {
		out, err := r.rooms.Receive(t.Context(), id, []*matrix.Event{e}, rooms.Arrival{From: "remote.example"})
		if err != nil || out[0].Err != nil {
			t.Errorf("receive %s: %v %v", e.ID, err, out)
			return false
		}
		refused[e.ID] = out[0].Refused
	}
	room, err := r.rooms.Room(t.Context(), id)
	if err != nil {
		t.Error(err)
		return false
	}
	names := newNames(t, r)
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
		if !names.same(room, "before "+string(e.ID)+" "+e.Type, s.Before(), g.Room.Before[e.ID]) {
			return false
		}
		if !names.same(room, "after "+string(e.ID)+" "+e.Type, s.After(), g.Room.After[e.ID]) {
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
	return names.same(room, "current", view.Version(), g.Room.StateAfter(view.Heads())) && names.members(room, view)
}

func sameIDs(a, b []matrix.EventID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// names turns numbers into names to compare with the oracle.
type names struct {
	t *testing.T
	r *rig
}

func newNames(t *testing.T, r *rig) *names { return &names{t, r} }

func (n *names) same(room *rooms.Room, what string, v rooms.Version, want naive.State) bool {
	n.t.Helper()
	whole, err := n.r.rooms.StateAt(n.t.Context(), room, v)
	if err != nil {
		n.t.Error(err)
		return false
	}
	got := naive.State{}
	for key, nid := range whole {
		t, err := n.r.db.GetStateTuple(n.t.Context(), key)
		if err != nil {
			n.t.Error(err)
			return false
		}
		e, err := n.r.rooms.Events(n.t.Context(), []int64{nid})
		if err != nil || len(e) != 1 {
			n.t.Errorf("event %d: %v", nid, err)
			return false
		}
		got[t] = e[0].ID
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		n.t.Errorf("state %s at %v:\n%s", what, v, difference(got, want))
		return false
	}
	return true
}

func difference(got, want naive.State) string {
	out := ""
	for k, id := range want {
		if got[k] != id {
			out += fmt.Sprintf("  %v: got %q, want %q\n", k, got[k], id)
		}
	}
	for k, id := range got {
		if _, ok := want[k]; !ok {
			out += fmt.Sprintf("  %v: got %q, want none\n", k, id)
		}
	}
	return out
}

// members compares the memberships table with the current state, and the counts with both.
func (n *names) members(room *rooms.Room, v *rooms.View) bool {
	n.t.Helper()
	want := map[int64]int64{}
	joined := int64(0)
	events, err := v.All(n.t.Context())
	if err != nil {
		n.t.Error(err)
		return false
	}
	for _, e := range events {
		if e.Type != "m.room.member" {
			continue
		}
		user, err := n.r.db.UserNID(n.t.Context(), matrix.UserID(*e.StateKey))
		if err != nil {
			n.t.Error(err)
			return false
		}
		want[user] = e.Row.NID
		if e.Membership() == "join" {
			joined++
		}
	}
	for user, event := range want {
		m, err := n.r.db.FindMembership(n.t.Context(), user, room.NID())
		if err != nil || m.Event != event {
			n.t.Errorf("membership of %d is %v, %v; want event %d", user, m, err, event)
			return false
		}
	}
	if v.Joined() != joined {
		n.t.Errorf("%d joined, want %d", v.Joined(), joined)
		return false
	}
	return true
}

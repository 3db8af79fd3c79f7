package rooms_test

import (
	"fmt"
	"maps"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/matrix/stateres/naive"
)

// names turns numbers into names to compare with the oracle.
type names struct {
	t      *testing.T
	r      *rig
	room   *rooms.Room
	keys   map[int64]matrix.StateTuple
	events map[int64]matrix.EventID
	states map[rooms.Version]naive.State // what has been read: many events share a version
}

func newNames(t *testing.T, r *rig, room *rooms.Room) *names {
	return &names{t, r, room, map[int64]matrix.StateTuple{}, map[int64]matrix.EventID{}, map[rooms.Version]naive.State{}}
}

func (n *names) same(what string, v rooms.Version, want naive.State) bool {
	n.t.Helper()
	got, err := n.state(v)
	if err != nil {
		n.t.Error(err)
		return false
	}
	if !maps.Equal(got, want) {
		n.t.Errorf("state %s at %v:\n%s", what, v, difference(got, want))
		return false
	}
	return true
}

// state reads the whole state at a version.
func (n *names) state(v rooms.Version) (naive.State, error) {
	if got, known := n.states[v]; known {
		return got, nil
	}
	whole, err := n.r.rooms.StateAt(n.t.Context(), n.room, v)
	if err != nil {
		return nil, err
	}
	got := naive.State{}
	for key, nid := range whole {
		if _, known := n.keys[key]; !known {
			if n.keys[key], err = n.r.db.GetStateTuple(n.t.Context(), key); err != nil {
				return nil, err
			}
		}
		if _, known := n.events[nid]; !known {
			e, err := n.r.rooms.Events(n.t.Context(), []int64{nid})
			if err != nil || len(e) != 1 {
				return nil, fmt.Errorf("event %d: %w", nid, err)
			}
			n.events[nid] = e[0].ID
		}
		got[n.keys[key]] = n.events[nid]
	}
	n.states[v] = got
	return got, nil
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
func (n *names) members(v *rooms.View) bool {
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
		m, err := n.r.db.FindMembership(n.t.Context(), user, n.room.NID())
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

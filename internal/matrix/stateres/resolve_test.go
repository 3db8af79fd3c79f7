package stateres_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/matrix/graphgen"
	"rempart/internal/matrix/stateres"
	"rempart/internal/matrix/stateres/naive"
)

// source reads from an oracle's room.
type source struct{ room *naive.Room }

func (s source) Event(_ context.Context, id matrix.EventID) (*matrix.Event, error) {
	return s.room.Events[id], nil
}

func (s source) AuthEvents(_ context.Context, id matrix.EventID) ([]matrix.EventID, error) {
	return naive.AuthEvents(s.room.Events[id]), nil
}

// differing divides full states into the differing keys of each and what they have in common.
func differing(states []naive.State) (sets []map[matrix.StateTuple]matrix.EventID, common naive.State) {
	common = naive.State{}
	for key, id := range states[0] {
		common[key] = id
	}
	maps.DeleteFunc(common, func(key matrix.StateTuple, id matrix.EventID) bool {
		return slices.ContainsFunc(states, func(s naive.State) bool { return s[key] != id })
	})
	for _, s := range states {
		set := map[matrix.StateTuple]matrix.EventID{}
		for key, id := range s {
			if common[key] == "" {
				set[key] = id
			}
		}
		sets = append(sets, set)
	}
	return sets, common
}

// resolve runs Resolve on what differs and puts the full state together again.
func resolve(t testing.TB, room *naive.Room, states []naive.State, indexed bool) naive.State {
	t.Helper()
	sets, common := differing(states)
	in := stateres.Input{
		Version: room.Version,
		Sets:    sets,
		Unconflicted: func(_ context.Context, key matrix.StateTuple) (matrix.EventID, error) {
			for _, s := range sets {
				if s[key] != "" {
					return "", fmt.Errorf("asked for %v, which the sets hold", key)
				}
			}
			return common[key], nil
		},
		AuthDifference: func(context.Context) ([]matrix.EventID, error) {
			return naive.AuthDifference(states, room.Events), nil
		},
		Rejected: func(_ context.Context, id matrix.EventID) (bool, error) { return room.Rejected[id], nil },
	}
	if indexed {
		in.ConflictedSubgraph = func(_ context.Context, ids []matrix.EventID) ([]matrix.EventID, error) {
			return naive.Subgraph(ids, room.Events), nil
		}
	}
	out, err := stateres.Resolve(t.Context(), in, source{room})
	if err != nil {
		t.Fatal(err)
	}
	full := maps.Clone(common)
	for key, id := range out {
		if id != "" {
			full[key] = id
		}
	}
	for _, s := range sets {
		for key := range s {
			if _, ok := out[key]; !ok {
				t.Fatalf("no result for %v", key)
			}
		}
	}
	return full
}

// graphs is how many random rooms each version is tried on; REMPART_GRAPHS sets another number.
func graphs(t testing.TB, def int) int {
	t.Helper()
	if text := os.Getenv("REMPART_GRAPHS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return def
}

// TestResolveEqualsNaive compares with the oracle wherever an event has several parents, and on states taken from
// anywhere in the room, which conflict more than parents usually do.
func TestResolveEqualsNaive(t *testing.T) {
	for _, v := range matrix.Versions() {
		t.Run("v"+v.ID, func(t *testing.T) {
			t.Parallel()
			var merges, changed int
			for seed := range uint64(graphs(t, 150)) {
				g := graphgen.New(seed, v, graphgen.Options{Unsigned: true})
				r := rand.New(rand.NewPCG(seed, 1))
				for _, ids := range statesToMerge(g, r) {
					var states []naive.State
					for _, id := range ids {
						states = append(states, g.Room.After[id])
					}
					want := g.Room.StateAfter(ids)
					r.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
					got := resolve(t, g.Room, states, merges%2 == 0)
					if !maps.Equal(got, want) {
						t.Fatalf("seed %d, states after %v:\n%s", seed, ids, diff(g.Room, got, want))
					}
					merges++
					if !maps.Equal(want, states[0]) {
						changed++
					}
				}
			}
			t.Logf("%d merges, of which %d changed the first state", merges, changed)
			if changed < merges/10 {
				t.Error("the graphs hardly conflict")
			}
		})
	}
}

func statesToMerge(g *graphgen.Graph, r *rand.Rand) [][]matrix.EventID {
	var list [][]matrix.EventID
	for _, e := range g.Events {
		if len(e.PrevEvents) > 1 {
			list = append(list, e.PrevEvents)
		}
	}
	for range 4 {
		var ids []matrix.EventID
		for range 2 + r.IntN(3) {
			ids = append(ids, g.Events[1+r.IntN(len(g.Events)-1)].ID)
		}
		list = append(list, ids)
	}
	return list
}

func diff(room *naive.Room, got, want naive.State) string {
	text := ""
	for key := range want {
		if got[key] != want[key] {
			text += fmt.Sprintf("%v: got %s, want %s\n", key, show(room, got[key]), show(room, want[key]))
		}
	}
	for key := range got {
		if want[key] == "" {
			text += fmt.Sprintf("%v: got %s, want nothing\n", key, show(room, got[key]))
		}
	}
	return text
}

func show(room *naive.Room, id matrix.EventID) string {
	if e := room.Events[id]; e != nil {
		return string(e.JSON)
	}
	return "nothing"
}

package graphgen_test

import (
	"bytes"
	"maps"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/matrix/graphgen"
	"rempart/internal/matrix/stateres/naive"
)

// TestVariety: every version's graphs hold what they are for.
func TestVariety(t *testing.T) {
	for _, v := range matrix.Versions() {
		counts := map[string]int{}
		for seed := range uint64(50) {
			g := graphgen.New(seed, v, graphgen.Options{Unsigned: true})
			for _, e := range g.Events {
				counts["events"]++
				if len(e.PrevEvents) > 1 {
					counts["merges"]++
				}
				if g.Room.Rejected[e.ID] {
					counts["rejected"]++
				} else {
					counts[e.Type+" "+e.Membership()]++
				}
			}
			counts["heads"] += len(g.Room.Heads())
		}
		t.Logf("v%s: %v", v.ID, counts)
		for _, kind := range []string{
			"merges", "m.room.member ban", "m.room.member invite", "m.room.member leave", "m.room.power_levels ",
			"m.room.join_rules ", "m.room.topic ", "m.room.message ", "m.room.third_party_invite ",
		} {
			if counts[kind] < 8 {
				t.Errorf("v%s: only %d of %q in 50 graphs", v.ID, counts[kind], kind)
			}
		}
		if share := counts["rejected"] * 100 / counts["events"]; share < 8 || share > 50 {
			t.Errorf("v%s: %d %% of the events are rejected", v.ID, share)
		}
	}
}

// TestSameSeedSameGraph and genuine: signed graphs repeat byte for byte, and pass as events of a peer.
func TestSameSeedSameGraph(t *testing.T) {
	for _, v := range matrix.Versions() {
		a, b := graphgen.New(3, v, graphgen.Options{}), graphgen.New(3, v, graphgen.Options{})
		if len(a.Events) != len(b.Events) {
			t.Fatalf("v%s: %d and %d events", v.ID, len(a.Events), len(b.Events))
		}
		for i, e := range a.Events {
			if !bytes.Equal(e.JSON, b.Events[i].JSON) {
				t.Fatalf("v%s: event %d differs:\n%s\n%s", v.ID, i, e.JSON, b.Events[i].JSON)
			}
			parsed, err := v.ParseUntrusted(e.JSON)
			if err != nil {
				t.Fatalf("v%s: %v: %s", v.ID, err, e.JSON)
			}
			if parsed.ID != e.ID || parsed.RoomID != e.RoomID || !bytes.Equal(parsed.JSON, e.JSON) {
				t.Fatalf("v%s: parsed as %s %s\n%s\n%s", v.ID, parsed.ID, parsed.RoomID, parsed.JSON, e.JSON)
			}
			for _, s := range e.RequiredSigners() {
				if err := e.VerifySignature(s, "ed25519:1", a.Keys[s].Public()); err != nil {
					t.Fatalf("v%s: %v: %s", v.ID, err, e.JSON)
				}
			}
		}
	}
}

// TestShuffled: another order is complete, topological, and the oracle finds the same in it.
func TestShuffled(t *testing.T) {
	for _, v := range matrix.Versions() {
		g := graphgen.New(5, v, graphgen.Options{Unsigned: true, Events: 60})
		moved := false
		again := naive.NewRoom(v)
		for i, e := range g.Shuffled(9) {
			moved = moved || e != g.Events[i]
			for _, p := range append(naive.AuthEvents(e), e.PrevEvents...) {
				if again.Events[p] == nil {
					t.Fatalf("v%s: %s comes before %s", v.ID, e.ID, p)
				}
			}
			again.Add(e)
		}
		if len(again.Events) != len(g.Events) || !moved {
			t.Fatalf("v%s: %d of %d events, moved: %v", v.ID, len(again.Events), len(g.Events), moved)
		}
		if !maps.Equal(again.Rejected, g.Room.Rejected) || !maps.Equal(again.Current(), g.Room.Current()) {
			t.Fatalf("v%s: the oracle depends on the order", v.ID)
		}
	}
}

// TestClose: the last event names all heads, and where anybody is left to send it, it is the only head.
func TestClose(t *testing.T) {
	v, _ := matrix.Version("12")
	for seed := range uint64(50) {
		g := graphgen.New(seed, v, graphgen.Options{Unsigned: true, Close: true})
		left := false
		for key, id := range g.Room.Current() {
			left = left || key.Type == "m.room.member" && g.Room.Events[id].Membership() == "join"
		}
		if left && len(g.Room.Heads()) > 1 {
			t.Fatalf("seed %d: heads %v", seed, g.Room.Heads())
		}
	}
}

// TestTameEnds: tame rooms get done even when nothing is allowed in them any more.
func TestTameEnds(t *testing.T) {
	for _, v := range matrix.Versions() {
		for seed := range uint64(60) {
			if g := graphgen.New(seed, v, graphgen.Options{Unsigned: true, Tame: true}); len(g.Events) != 30 {
				t.Errorf("v%s seed %d: %d events", v.ID, seed, len(g.Events))
			}
		}
	}
}

// TestSides: a fork whose sides meet in the end only.
func TestSides(t *testing.T) {
	for _, v := range matrix.Versions() {
		g := graphgen.New(1, v, graphgen.Options{Unsigned: true, Events: 120, Users: 12, Sides: 3, Close: true})
		last := g.Events[len(g.Events)-1]
		if len(last.PrevEvents) != 3 {
			t.Errorf("v%s: the last event has %d parents", v.ID, len(last.PrevEvents))
		}
		for _, e := range g.Events[:len(g.Events)-1] {
			if len(e.PrevEvents) > 1 {
				t.Errorf("v%s: sides meet early", v.ID)
			}
		}
	}
}

func BenchmarkNew(b *testing.B) {
	v, _ := matrix.Version("12")
	for b.Loop() {
		graphgen.New(uint64(b.N), v, graphgen.Options{Unsigned: true})
	}
}

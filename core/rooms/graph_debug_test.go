package rooms_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/matrix/graphgen"
)

// One graph of TestRandomGraphs: REMPART_GRAPH_VERSION, REMPART_GRAPH_SEED.
func TestOneGraph(t *testing.T) {
	seed, err := strconv.Atoi(os.Getenv("REMPART_GRAPH_SEED"))
	if err != nil {
		t.Skip("no seed is asked for")
	}
	v, _ := matrix.Version(os.Getenv("REMPART_GRAPH_VERSION"))
	g := graphgen.New(uint64(seed), v, graphgen.Options{Unsigned: true, Close: seed%2 == 0, Room: fmt.Sprint("r", seed)})
	events := g.Events
	if seed%3 != 0 {
		events = g.Shuffled(uint64(seed) * 7)
	}
	for _, e := range events {
		fmt.Printf("%s %s %v prev %v auth %v rej %v\n   %s\n", e.ID, e.Type, e.Sender, e.PrevEvents, e.AuthEvents, g.Room.Why[e.ID], e.Content)
	}
	checkGraph(t, newRig(t, sqliteURL(t), nil), g, events)
}

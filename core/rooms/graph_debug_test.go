package rooms_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"rempart/internal/matrix"
)

// One graph of TestRandomGraphs: REMPART_GRAPH_VERSION, REMPART_GRAPH_SEED.
func TestOneGraph(t *testing.T) {
	seed, err := strconv.Atoi(os.Getenv("REMPART_GRAPH_SEED"))
	if err != nil {
		t.Skip("no seed is asked for")
	}
	v, _ := matrix.Version(os.Getenv("REMPART_GRAPH_VERSION"))
	g, events := seeded(v, seed)
	for _, e := range events {
		fmt.Printf("%s %s %v prev %v auth %v rej %v\n   %s\n", e.ID, e.Type, e.Sender, e.PrevEvents, e.AuthEvents, g.Room.Why[e.ID], e.Content)
	}
	checkGraph(t, newRig(t, sqliteURL(t), nil), g, events)
}

package federation

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// Size of the comparison.
const (
	costRounds  = 5
	costSenders = 8
	costEach    = 300 // messages of a sender in a round
	costAlone   = 400 // messages of a lonely sender, each of which is a transaction of its own
)

// TestWhatTheLedgerCostsSending compares the processor time that a message to another server costs by the server as it is with that of a build whose
// record takes nothing, in pairs of runs. REMPART_UNRECORDED names that build: the tree with `return make([]Permit, len(intents)), nil` as the first
// line of Begin in core/ledger/passage.go. There is no such switch in the server.
func TestWhatTheLedgerCostsSending(t *testing.T) {
	without := os.Getenv("REMPART_UNRECORDED")
	if without == "" {
		t.Skip("a measurement: set REMPART_UNRECORDED")
	}
	ca := fakenet.NewCA(t)
	on, off := newCostly(t, ca, os.Getenv("REMPART_BIN")), newCostly(t, ca, without)
	for _, shape := range []struct {
		name  string
		crowd int
		each  int
	}{{"8 senders", costSenders, costEach}, {"one sender", 1, costAlone}} {
		var ratios []float64
		for i := range costRounds + 1 {
			pair := []*costly{on, off}
			if i%2 == 1 {
				slices.Reverse(pair)
			}
			for _, c := range pair {
				c.round(shape.crowd, shape.each)
			}
			if i == 0 {
				continue // caches fill
			}
			ratios = append(ratios, on.last/off.last)
			t.Logf("%s: %.3f ms a message with the record, %.3f without: %+.1f %%", shape.name, on.last, off.last, 100*(on.last/off.last-1))
		}
		slices.Sort(ratios)
		t.Logf("%s: median %+.1f %%", shape.name, 100*(ratios[len(ratios)/2]-1))
	}
}

// costly is a server whose processor time is measured, with a room that another one is in.
type costly struct {
	*live.Server
	t      *testing.T
	room   string
	people []*mx.Client
	far    *mx.Client
	n      int
	last   float64 // milliseconds of processor time a message
}

func newCostly(t *testing.T, ca *fakenet.CA, binary string) *costly {
	t.Helper()
	ctx, there := t.Context(), live.Start(t, live.Options{CA: ca})
	c := &costly{t: t, Server: live.Start(t, live.Options{CA: ca, Binary: binary})}
	var err error
	c.far, err = mx.Register(ctx, there.URL, "far")
	mx.Must(t, err)
	for i := range costSenders {
		p, err := mx.Register(ctx, c.URL, fmt.Sprint("p", i))
		mx.Must(t, err)
		c.people = append(c.people, p)
	}
	c.room, err = c.people[0].CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	for _, p := range c.people[1:] {
		mx.Must(t, joinVia(ctx, p, c.room, c.Name))
	}
	mx.Must(t, joinVia(ctx, c.far, c.room, c.Name))
	return c
}

// round sends messages until the other server has all of them.
func (c *costly) round(senders, each int) {
	c.t.Helper()
	c.n++
	before := c.cpu()
	var wg sync.WaitGroup
	for i, p := range c.people[:senders] {
		wg.Go(func() { c.talk(p, i, each) })
	}
	wg.Wait()
	end := fmt.Sprint("the end of round ", c.n)
	_, err := c.people[0].Send(c.t.Context(), c.room, end, end)
	mx.Must(c.t, err)
	waitFor(c.t, c.far, c.room, end)
	c.last = float64((c.cpu() - before).Microseconds()) / 1000 / float64(senders*each+1)
}

func (c *costly) talk(p *mx.Client, who, each int) {
	for k := range each {
		if _, err := p.Send(context.WithoutCancel(c.t.Context()), c.room, fmt.Sprint(c.n, who, k, "t"), "a message of some words, as people write them"); err != nil {
			c.t.Error(err)
			return
		}
	}
}

// cpu is the processor time that the server has used.
func (c *costly) cpu() time.Duration {
	c.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.PID()))
	mx.Must(c.t, err)
	f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

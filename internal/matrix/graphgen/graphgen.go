// Package graphgen makes random rooms for tests: event graphs as they could arrive from several servers, with
// forks, merges, concurrent conflicting changes and events that must be rejected. The same seed, version and
// options give the same graph. With each graph comes what the slow oracle of package naive says about it, whose cost
// grows much faster than the graph: some hundred events with random forks, some thousand with Options.Sides.
// Tests of several packages call it; no program does.
package graphgen

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sort"

	"rempart/internal/matrix"
	"rempart/internal/matrix/stateres/naive"
)

// Options shape a graph; zero values mean the defaults.
type Options struct {
	Events   int  // how many, the room's first ones included; 30
	Servers  int  // 3
	Users    int  // 6
	MaxHeads int  // forks are merged beyond so many heads; 4
	Unsigned bool // leave signatures out, which is three times as fast; hashes and ids are right all the same
	Tame     bool // no events that are meant to break a rule, no lies about time and depth
	Close    bool // the last event names all heads; it is accepted unless nobody is left who may send it
	// Sides, when set, makes one fork of so many sides that grow evenly and meet only in the end, with Close.
	Sides int
	// Room is the local part of the room id before version 12; "room".
	Room string
}

// Graph is one room.
type Graph struct {
	Version *matrix.RoomVersion
	// Events are in a topological order: parents and auth events come first.
	Events []*matrix.Event
	// Room says what the oracle finds: state before each event, rejected events, heads, current state.
	Room  *naive.Room
	Keys  map[matrix.ServerName]matrix.SigningKey
	Users []matrix.UserID // the first one created the room
}

// New makes a graph.
func New(seed uint64, v *matrix.RoomVersion, o Options) *Graph {
	o.fill()
	g := &generator{
		Graph: Graph{Version: v, Room: naive.NewRoom(v), Keys: map[matrix.ServerName]matrix.SigningKey{}},
		o:     o,
		r:     rand.New(rand.NewPCG(seed, uint64(len(v.ID))<<8+uint64(v.ID[len(v.ID)-1]))), //nolint:gosec // test data
		ts:    1_700_000_000_000,
	}
	g.people()
	g.found()
	for range o.Sides {
		g.ends = append(g.ends, g.Room.Heads()[0])
	}
	for len(g.Events) < o.Events {
		g.step()
	}
	if heads := g.Room.Heads(); o.Close && len(heads) > 1 {
		g.o.Tame = true
		g.send(heads, g.strongest(g.Room.StateAfter(heads)), draft{typ: "m.room.message", content: body("closing")})
	}
	return &g.Graph
}

func (o *Options) fill() {
	if o.Room == "" {
		o.Room = "room"
	}
	for _, d := range []struct {
		option *int
		value  int
	}{{&o.Events, 30}, {&o.Servers, 3}, {&o.Users, 6}, {&o.MaxHeads, 4}} {
		if *d.option == 0 {
			*d.option = d.value
		}
	}
}

// generator is a graph in the making.
type generator struct {
	Graph
	o    Options
	r    *rand.Rand
	ts   int64
	ends []matrix.EventID // of the sides: the last accepted event of each
}

// people makes servers with their keys, and users spread over them.
func (g *generator) people() {
	for i := range g.o.Servers {
		server := matrix.ServerName(fmt.Sprintf("s%d.example", i))
		seed := sha256.Sum256([]byte(server))
		g.Keys[server] = matrix.SigningKey{ServerName: server, KeyID: "ed25519:1", Private: ed25519.NewKeyFromSeed(seed[:])}
	}
	for i := range g.o.Users {
		g.Users = append(g.Users, matrix.UserID(fmt.Sprintf("@u%d:s%d.example", i, i%g.o.Servers)))
	}
}

// found makes the events that every room starts with.
func (g *generator) found() {
	creator := g.Users[0]
	g.send(nil, creator, g.createDraft())
	g.send(g.last(), creator, membership(creator, "join"))
	if g.chance(90) {
		g.send(g.last(), creator, g.firstPowerLevels())
	}
	rule := "public"
	if g.chance(25) {
		rule = "invite"
	}
	g.send(g.last(), creator, draft{typ: "m.room.join_rules", key: key(""), content: object{"join_rule": rule}})
	for _, u := range g.Users[1:] {
		if len(g.Events) < g.o.Events && rule == "public" && g.chance(60) {
			g.send(g.last(), u, membership(u, "join"))
		}
	}
}

// step adds one event somewhere.
func (g *generator) step() {
	if len(g.ends) == 0 {
		prev := g.parents()
		sender, d := g.act(g.Room.StateAfter(prev))
		g.send(prev, sender, d)
		return
	}
	side := len(g.Events) % len(g.ends)
	prev := []matrix.EventID{g.ends[side]}
	sender, d := g.act(g.Room.StateAfter(prev))
	g.send(prev, sender, d)
	if last := g.last(); !g.Room.Rejected[last[0]] {
		g.ends[side] = last[0]
	}
}

// last is the newest event as a list of parents.
func (g *generator) last() []matrix.EventID {
	return []matrix.EventID{g.Events[len(g.Events)-1].ID}
}

// long tells that the room must last: its creator stays and keeps his power, or soon nothing would be allowed any more.
func (g *generator) long() bool { return g.o.Events > 60 }

// chance is true in so many of a hundred cases.
func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

// parents picks what the next event rests on: one head, a merge, or something older, which makes a fork.
func (g *generator) parents() []matrix.EventID {
	heads := g.Room.Heads()
	switch {
	case len(heads) >= g.o.MaxHeads, len(heads) > 1 && g.chance(20):
		g.r.Shuffle(len(heads), func(i, j int) { heads[i], heads[j] = heads[j], heads[i] })
		return heads[:2+g.r.IntN(len(heads)-1)]
	case g.chance(25):
		return []matrix.EventID{g.recent().ID}
	}
	return []matrix.EventID{heads[g.r.IntN(len(heads))]}
}

// recent is one of the last events, mostly an accepted one.
func (g *generator) recent() *matrix.Event {
	for range 20 {
		back := 1 + g.r.IntN(min(8, len(g.Events)))
		e := g.Events[len(g.Events)-back]
		if !g.Room.Rejected[e.ID] || !g.o.Tame && g.chance(20) {
			return e
		}
	}
	// Why: where nobody may do anything any more, all the last events are rejected.
	return g.Room.Events[g.Room.Heads()[0]]
}

// members lists who has a membership in a state.
func (g *generator) members(state naive.State, membership string) []matrix.UserID {
	var users []matrix.UserID
	for _, u := range g.Users {
		e := g.Room.Events[state[matrix.StateTuple{Type: "m.room.member", Key: string(u)}]]
		if e != nil && e.Membership() == membership {
			users = append(users, u)
		}
	}
	return users
}

// anyMember is someone in the room, the creator where it is empty.
func (g *generator) anyMember(state naive.State) matrix.UserID {
	if in := g.members(state, "join"); len(in) > 0 {
		return in[g.r.IntN(len(in))]
	}
	return g.Users[0]
}

func (g *generator) anyUser() matrix.UserID { return g.Users[g.r.IntN(len(g.Users))] }

// Shuffled returns the events in another topological order.
func (g *Graph) Shuffled(seed uint64) []*matrix.Event {
	r := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // test data
	waits := map[matrix.EventID]int{}
	next := map[matrix.EventID][]*matrix.Event{}
	var ready []*matrix.Event
	for _, e := range g.Events {
		needs := map[matrix.EventID]bool{}
		for _, id := range append(naive.AuthEvents(e)[:len(naive.AuthEvents(e)):len(naive.AuthEvents(e))], e.PrevEvents...) {
			needs[id] = true
		}
		for id := range needs {
			next[id] = append(next[id], e)
		}
		if waits[e.ID] = len(needs); len(needs) == 0 {
			ready = append(ready, e)
		}
	}
	order := make([]*matrix.Event, 0, len(g.Events))
	for len(ready) > 0 {
		i := r.IntN(len(ready))
		e := ready[i]
		ready[i] = ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		order = append(order, e)
		free := next[e.ID]
		sort.Slice(free, func(i, j int) bool { return free[i].ID < free[j].ID })
		for _, n := range free {
			if waits[n.ID]--; waits[n.ID] == 0 {
				ready = append(ready, n)
			}
		}
	}
	return order
}

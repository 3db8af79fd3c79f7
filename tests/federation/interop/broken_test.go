package interop

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"rempart/internal/testkit/mx"
)

// requireHistory waits until a person finds all of some events by paging back, each once.
func requireHistory(t *testing.T, p *person, room string, want []string) {
	t.Helper()
	missing := 0
	for range 20 {
		list, err := p.History(t.Context(), room)
		mx.Must(t, err)
		count := map[string]int{}
		for _, e := range list {
			count[e.ID]++
		}
		missing = 0
		for _, id := range want {
			switch n := count[id]; n {
			case 0:
				missing++
			case 1:
			default:
				t.Fatalf("%s is given %s %d times", p.UserID, id, n)
			}
		}
		if missing == 0 {
			return
		}
		mx.Must(t, p.sync(t.Context()))
	}
	t.Errorf("%s misses %d of %d events", p.UserID, missing, len(want))
}

// restarts kills either side between messages.
func restarts(t *testing.T, version string, host, guest *side) {
	room, alice, bob := together(t, version, host, guest, nil)
	talk(t, room, alice, bob) // both have taken in that they are together
	var said []string
	for _, s := range []*side{guest, host} {
		s.kill()
		up := alice
		if s == host {
			up = bob
		}
		said = append(said, up.says(t, room, "while you were away"))
		s.restart()
		talk(t, room, alice, bob)
	}
	requireHistory(t, alice, room, said)
	requireHistory(t, bob, room, said)
	agree(t, room, alice, bob)
}

// outage lets one side miss 50 messages and some state.
func outage(t *testing.T, version string, away, there *side) {
	room, alice, bob := together(t, version, there, away, nil)
	talk(t, room, alice, bob)
	away.kill()
	var said []string
	for i := range 50 {
		said = append(said, alice.says(t, room, fmt.Sprint("missed ", i)))
		if i%10 == 0 {
			alice.sets(t, room, "m.room.topic", "", map[string]string{"topic": fmt.Sprint("topic ", i)})
		}
	}
	away.restart()
	bob.hears(t, room, said[49])
	requireHistory(t, bob, room, said)
	talk(t, room, alice, bob)
	agree(t, room, alice, bob)
}

// partition lets both sides change the same things while neither hears of the other.
func partition(t *testing.T, w *world, version string) {
	for round := range 4 {
		room, alice, bob := together(t, version, w.ours, w.theirs, nil)
		if round%2 == 1 {
			room, bob, alice = together(t, version, w.theirs, w.ours, nil)
		}
		chief, deputy := alice, bob
		if round%2 == 1 {
			chief, deputy = bob, alice
		}
		carol, dave := w.ours.newPerson(t, "carol"), w.theirs.newPerson(t, "dave")
		carol.joins(t, room, w.ours)
		dave.joins(t, room, w.theirs)
		chief.sets(t, room, "m.room.power_levels", "", powers(t, chief, room, deputy, 99))
		deputy.hears(t, room, "m.room.power_levels", deputy.UserID)
		talk(t, room, alice, bob)
		talk(t, room, carol, dave)
		agree(t, room, alice, bob)
		w.partition()
		t.Cleanup(w.heal)
		said := conflict(t, room, alice, bob, []*person{carol, dave})
		w.heal()
		said = append(said, alice.says(t, room, "here again"), bob.says(t, room, "so am I"))
		settle(t, room, alice, bob)
		if t.Failed() {
			return
		}
		requireHistory(t, alice, room, said)
		requireHistory(t, bob, room, said)
	}
}

// settle lets both speak until they hear one another and see the same.
func settle(t *testing.T, room string, a, b *person) {
	t.Helper()
	talk(t, room, a, b)
	if agree(t, room, a, b); t.Failed() {
		return
	}
	talk(t, room, a, b) // what was resolved is built on
	agree(t, room, a, b)
}

// conflict lets two people do things that contradict one another, in turns, as far as each may; it gives the messages of both.
func conflict(t *testing.T, room string, a, b *person, others []*person) []string {
	t.Helper()
	var said []string
	random := rand.New(rand.NewPCG(1, uint64(people.Load()))) //nolint:gosec // no secret
	for i := range 12 {
		for _, p := range []*person{a, b} {
			about := others[random.IntN(len(others))]
			text := map[string]string{"topic": fmt.Sprint(p.UserID, " ", i), "name": fmt.Sprint(p.UserID, " ", i)}
			switch random.IntN(8) {
			case 0:
				p.sets(t, room, "m.room.topic", "", text)
			case 1:
				p.sets(t, room, "m.room.name", "", text)
			case 2:
				path := "/_matrix/client/v3/rooms/" + room + "/state/m.room.power_levels/"
				_ = p.Do(t.Context(), "PUT", path, powers(t, p, room, about, random.IntN(3)*45), nil) // whose power may be his own already
			case 3:
				_ = p.Do(t.Context(), "POST", "/_matrix/client/v3/rooms/"+room+"/ban", map[string]string{"user_id": about.UserID}, nil)
			case 4:
				_ = p.Do(t.Context(), "POST", "/_matrix/client/v3/rooms/"+room+"/unban", map[string]string{"user_id": about.UserID}, nil)
			case 5:
				p.sets(t, room, "org.example.thing", fmt.Sprint(random.IntN(3)), text)
			case 6: // who may be banned over there, or may do nothing
				o := others[random.IntN(len(others))]
				_ = o.Do(t.Context(), "PUT", "/_matrix/client/v3/rooms/"+room+"/state/m.room.name/", map[string]string{"name": o.UserID}, nil)
				_, _ = o.Send(t.Context(), room, fmt.Sprint("n", i), "I am still here")
			default:
				said = append(said, p.says(t, room, text["topic"]))
			}
		}
	}
	return said
}

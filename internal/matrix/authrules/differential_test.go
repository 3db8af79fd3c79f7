package authrules_test

import (
	"math/rand/v2"
	"testing"

	"github.com/matrix-org/gomatrixserverlib"
	"github.com/matrix-org/gomatrixserverlib/spec"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/internal/matrix/graphgen"
	"rempart/internal/matrix/stateres/naive"
)

// TestAgainstLibrary compares with gomatrixserverlib on random events in random states of their rooms. Where the
// library is known to depart from the specification, see departs, the specification's rules stand.
func TestAgainstLibrary(t *testing.T) {
	for _, v := range matrix.Versions() {
		t.Run("v"+v.ID, func(t *testing.T) {
			t.Parallel()
			var compared, allowed, departures int
			for seed := range uint64(25) {
				g := graphgen.New(seed, v, graphgen.Options{Unsigned: true, Events: 40})
				r := rand.New(rand.NewPCG(seed, 2))
				for i, e := range g.Events {
					states := []naive.State{g.Room.Before[e.ID], g.Room.After[g.Events[r.IntN(i+1)].ID], g.Room.After[g.Events[r.IntN(len(g.Events))].ID]}
					for _, state := range states {
						if len(state) == 0 {
							continue
						}
						err, theirs := authrules.Check(e, g.Room.View(state)), libraryAllows(t, g, e, state)
						compared++
						if err == nil {
							allowed++
						}
						if (err == nil) == (theirs == nil) {
							continue
						}
						if !departs(e, g.Room.View(state)) {
							t.Fatalf("seed %d: ours %v, theirs %v\n%s\n%s", seed, err, theirs, e.JSON, describe(g, state))
						}
						departures++
					}
				}
			}
			t.Logf("%d compared, %d allowed, %d departures", compared, allowed, departures)
			if allowed < compared/4 || departures > compared/10 {
				t.Error("the comparison says little")
			}
		})
	}
}

// departs tells the cases in which the library does not follow the specification.
func departs(e *matrix.Event, s authrules.State) bool {
	target := ""
	if e.StateKey != nil {
		target = *e.StateKey
	}
	var was, rule string
	if m := s.Event(matrix.StateTuple{Type: "m.room.member", Key: target}); m != nil {
		was = m.Membership()
	}
	if j := s.Event(matrix.StateTuple{Type: "m.room.join_rules"}); j != nil {
		rules, _ := j.JoinRules()
		rule = rules.Rule
	}
	self := target == string(e.Sender)
	switch e.Type {
	case "m.room.aliases":
		return !e.Version.AliasAuth // it never dropped their rules
	case "m.room.power_levels":
		return !sameEntries(e, s) // it takes defaults for entries that are absent
	case "m.room.member":
		content, _ := e.MembershipContent()
		switch content.Membership {
		case "leave":
			return self && (was == "leave" || was == "") || !self && was == "ban" // both let through
		case "join":
			// It lets invited and joined users in whatever the join rule, and knows the rules of later versions.
			// It lets nobody in who knocked.
			return was == "invite" || was == "join" || was == "knock" || rule == "knock_restricted" && !e.Version.KnockRestricted
		case "knock":
			return rule == "knock_restricted" && !e.Version.KnockRestricted
		case "invite":
			return content.ThirdPartyInvite != nil // it does not ask who made the invite
		}
	}
	return false
}

// sameEntries tells whether a change of power levels neither adds nor removes entries, and has no notification
// levels, which the library treats like those of users.
func sameEntries(e *matrix.Event, s authrules.State) bool {
	before := s.Event(matrix.StateTuple{Type: "m.room.power_levels"})
	if before == nil {
		return false
	}
	was, err := before.PowerLevels()
	now, err2 := e.PowerLevels()
	return err == nil && err2 == nil && was.Present == now.Present && len(was.Notifications)+len(now.Notifications) == 0 &&
		sameKeys(was.Users, now.Users) && sameKeys(was.Events, now.Events)
}

func sameKeys[K comparable](a, b map[K]int64) bool {
	for k := range a {
		if _, ok := b[k]; !ok {
			return false
		}
	}
	return len(a) == len(b)
}

func libraryEvent(t *testing.T, e *matrix.Event) gomatrixserverlib.PDU {
	t.Helper()
	impl := gomatrixserverlib.MustGetRoomVersion(gomatrixserverlib.RoomVersion(e.Version.ID))
	pdu, err := impl.NewEventFromTrustedJSONWithEventID(string(e.ID), e.JSON, false)
	if err != nil {
		t.Fatalf("%v: %s", err, e.JSON)
	}
	return pdu
}

func libraryAllows(t *testing.T, g *graphgen.Graph, e *matrix.Event, state naive.State) error {
	t.Helper()
	var events []gomatrixserverlib.PDU
	needed := append(authrules.NeededBy(e), matrix.StateTuple{Type: "m.room.create"})
	for _, key := range needed {
		if id := state[key]; id != "" {
			events = append(events, libraryEvent(t, g.Room.Events[id]))
		}
	}
	provider, err := gomatrixserverlib.NewAuthEvents(events)
	if err != nil {
		t.Fatal(err)
	}
	return gomatrixserverlib.Allowed(libraryEvent(t, e), provider, func(_ spec.RoomID, sender spec.SenderID) (*spec.UserID, error) {
		return spec.NewUserID(string(sender), true)
	})
}

func describe(g *graphgen.Graph, state naive.State) string {
	text := ""
	for _, id := range state {
		text += string(g.Room.Events[id].JSON) + "\n"
	}
	return text
}

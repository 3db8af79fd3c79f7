package stateres_test

import (
	"strings"
	"testing"

	"rempart/internal/matrix"
)

// The cases of this file are those in which gomatrixserverlib's ResolveConflictsNew gives another answer than we do. Each
// cites the sentence of the specification that decides; docs/adr/0011 tells how they were found.

// TestInviteTokensAreOtherState: "No other events affect the authorisation rules, so for all other conflicts, just pick
// the event with the highest depth". Spec: rooms/v1/#state-resolution. The library climbs from the least deep one, as for
// members, and before them, so that it stops at what bob, whose membership is in conflict, has made.
func TestInviteTokensAreOtherState(t *testing.T) {
	v, _ := matrix.Version("1")
	s := newScript(t, v)
	token := func(name, prev, sender string) {
		s.add(name, prev, sender, "m.room.third_party_invite", "token", `{"display_name":"`+name+`"}`)
	}
	token("t1", "top", alice)
	s.add("n1", "top", alice, "m.room.name", "", `{"name":"n"}`)
	token("t2", "n1", bob)
	s.add("gone", "top", bob, "m.room.member", bob, `{"membership":"leave"}`)
	s.add("n2", "gone", alice, "m.room.name", "", `{"name":"n"}`)
	token("t3", "n2", alice)
	s.want("t1 t2 t3", map[string]string{"third_party_invite token": "t3", "member " + bob: "gone"})
}

// TestCreatorWithoutLevels: where no auth event is a power levels event, the creator has 100, so that the older event
// comes first. Spec: rooms/v2/#definitions, "x's sender has greater power level ... when looking at their respective
// auth_events". The library takes 0.
func TestCreatorWithoutLevels(t *testing.T) {
	laterThan1(t, func(s *script) {
		s.addAt(20_000, "own", "a", alice, "m.room.power_levels", "", s.levels(60))
		s.addAt(30_000, "pl2", "top", alice, "m.room.power_levels", "", s.levels(70))
		s.want("own pl2", map[string]string{"power_levels ": "pl2"})
	})
}

// TestPowerOrderFromTheStart: "at each step selecting, among all the candidate vertices, the smallest vertex": of pl2
// and r the older r, then pl2, then q, which needs it. Spec: rooms/v2/#definitions, "reverse topological power
// ordering". The library puts the greatest at the end first, which gives pl2, q, r.
func TestPowerOrderFromTheStart(t *testing.T) {
	laterThan1(t, func(s *script) {
		s.addAt(90_000, "pl2", "top", alice, "m.room.power_levels", "", s.levels(60))
		s.addAt(20_000, "q", "pl2", alice, "m.room.join_rules", "", `{"join_rule":"invite"}`)
		s.addAt(50_000, "r", "top", alice, "m.room.join_rules", "", `{"join_rule":"knock"}`)
		s.want("q r", map[string]string{"join_rules ": "q", "power_levels ": "pl2"})
	})
}

// TestOffMainlineComesFirst: "Otherwise set i = ∞, where ∞ is a sentinel value greater than any integer". Spec:
// rooms/v2/#definitions, "mainline ordering". The library puts it beside the mainline's oldest event, and the clocks decide.
func TestOffMainlineComesFirst(t *testing.T) {
	laterThan1(t, func(s *script) {
		s.addAt(90_000, "old", "a", alice, "m.room.topic", "", `{"topic":"before there were levels"}`)
		s.addAt(20_000, "new", "top", alice, "m.room.topic", "", `{"topic":"under the first levels"}`)
		s.want("old new", map[string]string{"topic ": "new"})
	})
}

// TestAuthEventStandsIn: "If a key that is required for checking the authorisation rules is not present in the state,
// then the appropriate state event from the event's auth_events is used". Spec: rooms/v2/#definitions, "iterative auth
// checks". By the clocks ella's topic comes before her join; the library adds the topic itself instead of the join.
func TestAuthEventStandsIn(t *testing.T) {
	laterThan1(t, func(s *script) {
		levels := strings.Replace(s.levels(50), `{"users":{`, `{"users":{"`+ella+`":50,`, 1)
		s.add("pl2", "top", alice, "m.room.power_levels", "", levels)
		s.addAt(90_000, "e", "pl2", ella, "m.room.member", ella, `{"membership":"join"}`)
		s.addAt(20_000, "topic", "e", ella, "m.room.topic", "", `{"topic":"ella's"}`)
		s.add("name", "pl2", alice, "m.room.name", "", `{"name":"n"}`)
		s.want("topic name", map[string]string{"topic ": "topic", "member " + ella: "e"})
	})
}

// TestLevelsUnderAnyKey: "A power event is a state event with type m.room.power_levels or m.room.join_rules", whatever
// its state key. Spec: rooms/v2/#definitions, "power events". The library asks for the empty one and would judge
// carol's event after she lowered herself.
func TestLevelsUnderAnyKey(t *testing.T) {
	laterThan1(t, func(s *script) {
		s.addAt(20_000, "side", "top", carol, "m.room.power_levels", "other", s.levels(50))
		lowered := strings.Replace(s.levels(50), carol+`":100`, carol+`":0`, 1)
		s.addAt(30_000, "lowered", "top", carol, "m.room.power_levels", "", lowered)
		s.want("side lowered", map[string]string{"power_levels ": "lowered", "power_levels other": "side"})
	})
}

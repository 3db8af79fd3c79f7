package interop

import (
	"testing"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/mx"
)

// A join of ours is handed in again where its answer is lost: who has it already answers it once more, with the state before it and no second
// event, also when the room has gone on. Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid
func TestAnotherServerIsHandedAJoinAgain(t *testing.T) {
	ca := fakenet.NewCA(t)
	g := fakenet.NewGate(t, ca)
	w := newWorldBehind(t, ca, g.To)
	for _, version := range w.versions {
		t.Run("at once/v"+version, func(t *testing.T) { joinAgainAtOnce(t, w, g, version) })
		t.Run("later/v"+version, func(t *testing.T) { joinAgainLater(t, w, g, version) })
		t.Run("restricted/v"+version, func(t *testing.T) { joinAgainRestricted(t, w, g, version) })
	}
}

// joinAgainAtOnce loses the first answer, and half of the second.
func joinAgainAtOnce(t *testing.T, w *world, g *fakenet.Gate, version string) {
	alice, bob := w.theirs.newPerson(t, "alice"), w.ours.newPerson(t, "bob")
	room := alice.creates(t, version, nil)
	lost := g.Lost()
	g.Lose(2)
	bob.joins(t, room, w.theirs)
	if g.Lost() != lost+2 {
		t.Errorf("%d answers were lost", g.Lost()-lost)
	}
	joinedOnce(t, room, alice, bob)
}

// joinAgainLater loses all answers until the room has gone on.
func joinAgainLater(t *testing.T, w *world, g *fakenet.Gate, version string) {
	alice, bob, carol := w.theirs.newPerson(t, "alice"), w.ours.newPerson(t, "bob"), w.theirs.newPerson(t, "carol")
	room := alice.creates(t, version, map[string]any{"topic": "as it was"})
	g.Lose(1 << 40)
	if bob.tryJoin(t.Context(), room, w.theirs) == nil {
		t.Fatal("a join without an answer succeeds")
	}
	alice.sees(t, room, bob, "join")
	alice.sets(t, room, "m.room.topic", "", map[string]string{"topic": "as it is"})
	carol.joins(t, room, w.theirs)
	said := alice.says(t, room, "we see you")
	g.Lose(0)
	bob.hears(t, room, said)
	bob.sees(t, room, carol, "join")
	joinedOnce(t, room, alice, bob)
}

// joinAgainRestricted loses the answer to a join that the other server signs too.
func joinAgainRestricted(t *testing.T, w *world, g *fakenet.Gate, version string) {
	alice, bob := w.theirs.newPerson(t, "alice"), w.ours.newPerson(t, "bob")
	space := alice.creates(t, version, nil)
	room := alice.creates(t, version, map[string]any{"initial_state": []any{rule(map[string]any{"join_rule": "restricted",
		"allow": []any{map[string]string{"type": "m.room_membership", "room_id": space}}})}})
	bob.joins(t, space, w.theirs)
	alice.sees(t, space, bob, "join")
	g.Lose(1)
	bob.joins(t, room, w.theirs)
	joinedOnce(t, room, alice, bob)
}

// joinedOnce fails unless two people are in a room together, of which one was told of the other's join once.
func joinedOnce(t *testing.T, room string, alice, bob *person) {
	t.Helper()
	talk(t, room, alice, bob)
	agree(t, room, alice, bob)
	list, err := alice.History(t.Context(), room)
	mx.Must(t, err)
	joins := 0
	for _, e := range list {
		if e.Type == "m.room.member" && e.StateKey != nil && *e.StateKey == bob.UserID {
			joins++
		}
	}
	if joins != 1 {
		t.Errorf("%s came %d times", bob.UserID, joins)
	}
}

package federation

import (
	"errors"
	"net/http"
	"testing"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// gated are alice's server behind a gate and bob's, and a room of alice's.
func gated(t *testing.T) (g *fakenet.Gate, b *live.Server, alice, bob *mx.Client, hall, via string) {
	t.Helper()
	ca := fakenet.NewCA(t)
	g = fakenet.NewGate(t, ca)
	a := live.Start(t, live.Options{CA: ca, Relay: g.To})
	b = live.Start(t, live.Options{CA: ca})
	alice, err := mx.Register(t.Context(), a.URL, "alice")
	mx.Must(t, err)
	bob, err = mx.Register(t.Context(), b.URL, "bob")
	mx.Must(t, err)
	hall, err = alice.CreateRoom(t.Context(), map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	return g, b, alice, bob, hall, a.Name
}

// A join whose answer is lost, or breaks off, is finished: while its user waits or, where that does not help, later and over a restart.
func TestAJoinWhoseAnswerIsLostIsFinished(t *testing.T) {
	g, b, alice, bob, hall, via := gated(t)
	ctx := t.Context()
	g.Lose(2)
	mx.Must(t, joinVia(ctx, bob, hall, via))
	if g.Lost() != 2 {
		t.Errorf("%d answers were lost", g.Lost())
	}
	said, err := bob.Send(ctx, hall, "1", "here I am")
	mx.Must(t, err)
	waitFor(t, alice, hall, said, "here I am")

	second, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	g.Lose(1 << 40)
	unheard(t, joinVia(ctx, bob, second, via))
	waitFor(t, alice, second, bob.UserID, `"membership":"join"`)
	said, err = alice.Send(ctx, second, "2", "we see you")
	mx.Must(t, err)
	b.Stop()
	g.Lose(0)
	b.Restart()
	waitFor(t, bob, second, said, "we see you")
}

// Who tried to join, was given no answer and gives up is out of the room for the others too.
func TestAJoinWhoseAnswerIsLostIsGivenUp(t *testing.T) {
	g, _, alice, bob, hall, via := gated(t)
	g.Lose(1 << 40)
	unheard(t, joinVia(t.Context(), bob, hall, via))
	waitFor(t, alice, hall, bob.UserID, `"membership":"join"`)
	mx.Must(t, bob.Do(t.Context(), "POST", room(hall)+"/leave", map[string]string{}, nil))
	waitFor(t, alice, hall, bob.UserID, `"membership":"leave"`)
}

// unheard fails unless somebody was told that no server answered.
func unheard(t *testing.T, err error) {
	t.Helper()
	var e *mx.Error
	if !errors.As(err, &e) || e.Status != http.StatusBadGateway {
		t.Fatalf("to join where no answer comes: %v", err)
	}
}

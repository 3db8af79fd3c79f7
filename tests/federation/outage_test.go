package federation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// 50 messages while the other server is down, and the sender killed twice meanwhile: all arrive, each once, in order.
func TestNothingLostOverAnOutage(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	room, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, joinVia(ctx, p.bob, room, p.a.Name))
	waitFor(t, p.alice, room, p.bob.UserID, `"membership":"join"`)
	p.b.Kill()
	var want []string
	for i := range 50 {
		body := fmt.Sprint("while you were away ", i)
		_, err := p.alice.Send(ctx, room, fmt.Sprint("t", i), body)
		mx.Must(t, err)
		want = append(want, body)
		if i == 20 || i == 40 {
			p.a.Kill()
			p.a.Restart()
		}
	}
	p.b.Restart()
	_, err = p.bob.Send(ctx, room, "back", "I am back") // which wakes the other side
	mx.Must(t, err)
	waitFor(t, p.bob, room, want[49])
	slices.Sort(want)
	// The last may be there before others, which are asked for when it comes.
	for end := time.Now().Add(patience); ; {
		var got []string
		history, err := p.bob.History(ctx, room)
		mx.Must(t, err)
		for _, e := range history {
			if strings.HasPrefix(e.Body(), "while you were away") {
				got = append(got, e.Body())
			}
		}
		if slices.Sort(got); slices.Equal(got, want) {
			return
		}
		if len(got) > len(want) || time.Now().After(end) {
			t.Fatalf("%d messages: %v", len(got), got)
		}
	}
}

// The doctor goes the way of a request to another server, and says where it ends.
func TestDoctorOfAnotherServer(t *testing.T) {
	p := newPair(t)
	out, err := p.a.Command("doctor", "-federation", p.b.Name)
	for _, words := range []string{"ok       place: " + p.b.Name, "ok       keys: ed25519:", "ok       software: Rempart", "ok       our signature: accepted"} {
		if err != nil || !strings.Contains(out, words) {
			t.Fatalf("no %q (%v) in\n%s", words, err, out)
		}
	}
	p.a.Stop() // who asks cannot be reached now, so that nobody can check what he signs
	stranger := live.Start(t, live.Options{CA: fakenet.NewCA(t)})
	stranger.Stop()
	if out, err := stranger.Command("doctor", "-federation", p.b.Name); err == nil || !strings.Contains(out, "problem  keys") {
		t.Errorf("a certificate that nobody trusts (%v):\n%s", err, out)
	}
	p.b.Kill()
	if out, err := p.a.Command("doctor", "-federation", p.b.Name); err == nil || !strings.Contains(out, "problem  keys") {
		t.Errorf("a server that is down (%v):\n%s", err, out)
	}
}

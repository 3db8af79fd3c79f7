package appservices

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// TestServiceDiesAndReturns kills the service, and the server too, while people write. In the end the service has every message
// once, in the order of the room, and what came again came under the same transaction id with the same content.
func TestServiceDiesAndReturns(t *testing.T) {
	engines(t, diesAndReturns)
}

func diesAndReturns(t *testing.T, o live.Options) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*mx.Patience)
	defer cancel()
	bridge := newService(t)
	bridge.start()
	s := live.Start(t, withService(t, o, bridge.url(), ""))
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	id := room(ctx, t, s, alice)
	var sent []string
	send := func(n int) {
		t.Helper()
		for range n {
			text := fmt.Sprintf("message %d", len(sent))
			_, err := alice.Send(ctx, id, text, text)
			mx.Must(t, err)
			sent = append(sent, text)
		}
	}
	send(20)
	until(ctx, t, "the service has some", func() bool { return len(bridge.messages()) > 0 })
	bridge.kill()
	send(30) // nobody takes them
	s.Kill()
	s.Restart()
	send(150)
	bridge.start()
	until(ctx, t, "the service has more", func() bool { return len(bridge.messages()) > 20 })
	s.Kill() // while it tells
	s.Restart()
	send(20)
	bridge.kill()
	send(1)
	bridge.start()
	until(ctx, t, "the service has all", func() bool { return len(bridge.messages()) >= len(sent) })
	if got := bridge.messages(); !slices.Equal(got, sent) {
		t.Errorf("%d messages were sent, %d arrived; not the same or not in order:\n%v", len(sent), len(got), got)
	}
}

// TestTwoNodesOneCourier runs two nodes on one database: each event is told once, though both are written through, and when the
// node that tells is killed the other goes on.
func TestTwoNodesOneCourier(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*mx.Patience)
	defer cancel()
	bridge := newService(t)
	bridge.start()
	db := pgtest.New(t)
	one := live.Start(t, withService(t, live.Options{Postgres: db}, bridge.url(), ""))
	two := live.Start(t, withService(t, live.Options{Postgres: db, SigningKey: one.Dir + "/signing.key"}, bridge.url(), ""))
	alice, err := mx.Register(ctx, one.URL, "alice")
	mx.Must(t, err)
	id := room(ctx, t, one, alice)
	other := &mx.Client{URL: two.URL, Token: alice.Token}
	var sent []string
	for n := range 20 {
		text := fmt.Sprintf("message %d", n)
		c := alice
		if n%2 == 1 {
			c = other
		}
		_, err := c.Send(ctx, id, text, text)
		mx.Must(t, err)
		sent = append(sent, text)
	}
	one.Kill()
	for n := 20; n < 30; n++ {
		text := fmt.Sprintf("message %d", n)
		_, err := other.Send(ctx, id, text, text)
		mx.Must(t, err)
		sent = append(sent, text)
	}
	until(ctx, t, "the service has all", func() bool { return len(bridge.messages()) >= len(sent) })
	if got := bridge.messages(); !slices.Equal(got, sent) {
		t.Errorf("told %v", got)
	}
}

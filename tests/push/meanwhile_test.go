package push

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// What was redacted while the gateway was away, and what was said in a room that the user has left since, is not told any more.
func TestGoneMeanwhile(t *testing.T) {
	each(t, open, func(t *testing.T, s *live.Server) {
		g := newGateway(t)
		alice, bob := user(t, s, "alice"), user(t, s, "bob")
		stays, left := room(t, bob, alice), room(t, bob, alice)
		mx.Must(t, set(alice, pusher(g, "phone")))
		takeOthers := g.refuseOne(http.StatusServiceUnavailable)
		elsewhere := say(t, bob, left, "elsewhere")
		regretted := say(t, bob, stays, "regretted")
		g.until("the one that is refused", func() bool { return g.asked > 0 })
		mx.Must(t, bob.Do(t.Context(), "PUT", "/_matrix/client/v3/rooms/"+url.PathEscape(stays)+"/redact/"+url.PathEscape(regretted)+"/r", map[string]any{}, nil))
		mx.Must(t, alice.Do(t.Context(), "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(left)+"/leave", map[string]any{}, nil))
		next := say(t, bob, stays, "next")
		takeOthers()
		g.event("phone", next)
		if order, _ := g.events("phone"); slices.Contains(order, regretted) || slices.Contains(order, elsewhere) {
			t.Errorf("told of %v, of which %s is redacted and %s is of a room that was left", order, regretted, elsewhere)
		}
	})
}

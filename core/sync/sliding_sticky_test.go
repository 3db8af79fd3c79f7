package sync_test

import (
	"slices"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
)

// stuckIn is what the extension for sticky events tells.
type stuckIn struct {
	Next  string                   `json:"next_batch"`
	Rooms map[matrix.RoomID]events `json:"rooms"`
}

// Sticky events reach clients of sliding sync: behind the window and the timeline, once, and all of a room that begins. MSC4354
func TestSlidingSticky(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		far, near := alice.public(), alice.public()
		bob.join(far)
		alice.stick(far, "one", time.Hour, 0)
		alice.stick(far, "ended", time.Second, time.Minute)
		alice.bury(far)
		bob.join(near)
		s := bob.slider(window(0, 0))
		s.body["lists"].(object)["all"].(object)["timeline_limit"] = 1
		ext := object{"enabled": true, "limit": 1}
		s.body["extensions"] = object{"org.matrix.msc4354.sticky_events": ext}
		check := func(when string, want ...string) {
			t.Helper()
			a := s.next()
			got := a.Ext.Sticky.Rooms[far.ID()].bodies()
			if !slices.Equal(got, want) && len(got)+len(want) > 0 {
				t.Errorf("%s: %q, want %q: %s", when, got, want, a.raw)
			}
			if a.Ext.Sticky.Next != "" {
				ext["since"] = a.Ext.Sticky.Next
			}
		}
		r.sync.StickyKnown(t)
		check("outside of the window", "one")
		check("told")
		alice.stick(far, "two", time.Hour, 0)
		alice.stick(far, "three", time.Hour, 0)
		alice.bury(far)
		alice.say(near, "in the window")
		check("the first of two", "two")
		check("the second", "three")
		check("all told")
		alice.stick(far, "in sight", time.Hour, 0)
		// The room comes into the window: all of it is told anew, but for what stands in the timeline.
		ext["limit"] = 100
		if a := s.next(); !slices.Equal(a.Ext.Sticky.Rooms[far.ID()].bodies(), []string{"one", "two", "three"}) || !slices.Equal(a.room(far).bodies(), []string{"in sight"}) {
			t.Errorf("in the timeline: %s", a.raw)
		}
	})
}

package sync_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
)

// stick sends a message that sticks, said to be sent some time ago.
func (c *client) stick(room *rooms.Room, body string, duration, ago time.Duration) matrix.EventID {
	c.t.Helper()
	content, _ := json.Marshal(object{"msgtype": "m.text", "body": body})
	id, err := c.rooms.Send(ctx, rooms.SendRequest{Room: room, Sender: c.id(), Type: "m.room.message", Content: content,
		Sticky: duration.Milliseconds(), OriginTS: time.Now().Add(-ago).UnixMilli()})
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// bury says so much that what was said before does not stand in the timeline.
func (c *client) bury(room *rooms.Room) {
	c.t.Helper()
	for i := range 12 {
		c.say(room, strconv.Itoa(i))
	}
}

// Events that stick reach clients behind a gap, once, and those who come later; what has ended does not.
func TestStickyEvents(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.create(&rooms.CreateRequest{Preset: "private_chat", Invite: []matrix.UserID{bob.id()}})
		bob.join(room)
		bob.next()
		alice.stick(room, "ended", 1000*time.Millisecond, time.Minute)
		alice.stick(room, "one", time.Hour, 0)
		alice.stick(room, "two", 10*time.Minute, time.Minute)
		redacted := alice.stick(room, "redacted", time.Hour, 0)
		if _, err := r.rooms.Redact(ctx, rooms.SendRequest{Room: room, Sender: alice.id()}, redacted, ""); err != nil {
			t.Fatal(err)
		}
		alice.bury(room)
		shown := alice.stick(room, "in sight", time.Hour, 0)

		a := bob.next()
		j := a.joined(room)
		if got := j.Sticky.bodies(); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("behind a gap %q: %s", got, a.raw)
		}
		last := j.Timeline.Events[len(j.Timeline.Events)-1]
		if ttl, _ := last.Unsigned["msc4354_sticky_duration_ttl_ms"].(float64); last.ID != shown || ttl <= 0 || ttl > 3600000 {
			t.Errorf("in the timeline: %+v", last)
		}
		two := j.Sticky.Events[1]
		if ttl, _ := two.Unsigned["msc4354_sticky_duration_ttl_ms"].(float64); ttl <= 0 || ttl > 9*60000 || two.Sticky.Duration != 600000 {
			t.Errorf("sent a minute ago, for ten: %+v", two)
		}
		alice.say(room, "more")
		if j := bob.next().joined(room); len(j.Sticky.Events) != 0 {
			t.Errorf("told again: %+v", j.Sticky)
		}

		r.stop()
		r = newRig(t, url) // nothing is in memory
		alice, bob = alice.on(r), bob.on(r)
		var err error
		if room, err = r.rooms.Room(ctx, room.ID()); err != nil {
			t.Fatal(err)
		}
		carol := r.user("carol")
		alice.change(invite, room, carol.id())
		carol.next()
		carol.join(room)
		alice.bury(room)
		j = carol.next().joined(room)
		if got := j.Sticky.bodies(); !slices.Equal(got, []string{"one", "two", "in sight"}) {
			t.Errorf("who comes in later: %q", got)
		}
		carol.since = ""
		if got := carol.next().joined(room).Sticky.bodies(); !slices.Equal(got, []string{"one", "two", "in sight"}) {
			t.Errorf("a first sync: %q", got)
		}
		bob.filter = `{"room":{"timeline":{"not_types":["m.room.message"]}}}`
		alice.stick(room, "filtered", time.Hour, 0)
		if got := bob.next().joined(room).Sticky.bodies(); !slices.Equal(got, []string{"filtered"}) {
			t.Errorf("what the filter keeps from the timeline: %q", got)
		}
	})
}

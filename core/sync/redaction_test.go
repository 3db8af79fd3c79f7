package sync_test

import (
	"encoding/json"
	"slices"
	"testing"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
)

// An event that another process redacted is shown redacted from then on: what was ready in memory goes.
func TestRedactionOfAnotherNode(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r, other := newRig(t, url), newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		bob.next()
		before := bob.since
		id := alice.say(room, "secret")
		alice.say(room, "after")
		if got := bob.next().joined(room).Timeline.bodies(); !slices.Equal(got, []string{"secret", "after"}) {
			t.Fatalf("before the redaction: %v", got)
		}
		there, err := other.rooms.Room(ctx, room.ID())
		if err == nil {
			_, err = other.rooms.Redact(ctx, rooms.SendRequest{Room: there, Sender: alice.id()}, id, "")
		}
		if err != nil {
			t.Fatal(err)
		}
		bob.nextOfRooms() // until this process has heard of it
		bob.since = before
		if got := bob.ask(syncing.Request{}).joined(room).Timeline.bodies(); !slices.Equal(got, []string{"after"}) {
			t.Errorf("after the redaction: %v", got)
		}
	})
}

// A redaction by another server that comes as history, without an entry of its own in the timeline, still takes what it
// redacts from what is ready in memory.
func TestRedactionThatComesAsHistory(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		far := &client{rig: r, caller: alice.caller}
		far.caller.User = matrix.UserID("@" + matrixID("carol"))
		far.join(room)
		bob.next()
		before := bob.since
		id := far.say(room, "secret")
		alice.say(room, "after")
		if got := bob.next().joined(room).Timeline.bodies(); !slices.Equal(got, []string{"secret", "after"}) {
			t.Fatalf("before the redaction: %v", got)
		}
		out, err := r.rooms.Receive(ctx, room.ID(), []*matrix.Event{far.redaction(room, id)}, rooms.Arrival{From: "there.example", Backfill: true})
		if err != nil || out[0].Err != nil || out[0].Refused != nil {
			t.Fatalf("the redaction: %+v, %v", out, err)
		}
		if a := bob.ask(syncing.Request{}); a.Rooms.Join[room.ID()] != nil {
			t.Errorf("history is told as news: %s", a.raw)
		}
		bob.since = before
		if got := bob.ask(syncing.Request{}).joined(room).Timeline.bodies(); !slices.Equal(got, []string{"after"}) {
			t.Errorf("after the redaction: %v", got)
		}
	})
}

// redaction is an event of the client's server that redacts another one, right behind it.
func (c *client) redaction(room *rooms.Room, target matrix.EventID) *matrix.Event {
	c.t.Helper()
	view, err := c.rooms.Current(ctx, room)
	if err != nil {
		c.t.Fatal(err)
	}
	content, _ := json.Marshal(object{"redacts": target})
	p := matrix.Proto{RoomID: room.ID(), Sender: c.id(), Type: "m.room.redaction", Content: content, Redacts: target,
		PrevEvents: []matrix.EventID{target}, Depth: view.Depth(), OriginServerTS: 1}
	for _, needed := range []matrix.StateTuple{{Type: "m.room.power_levels"}, {Type: "m.room.member", Key: string(c.id())}} {
		e, err := view.Get(ctx, needed)
		if err != nil {
			c.t.Fatal(err)
		}
		p.AuthEvents = append(p.AuthEvents, e.ID)
	}
	key, err := matrix.GenerateSigningKey(c.id().Server())
	if err != nil {
		c.t.Fatal(err)
	}
	e, err := room.Version().Build(p, key)
	if err != nil {
		c.t.Fatal(err)
	}
	return e
}

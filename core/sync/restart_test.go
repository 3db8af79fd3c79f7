package sync_test

import (
	"slices"
	"testing"

	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// After a restart nothing is known in memory; tokens from before it bring what came, and nothing else.
func TestRestart(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		room, quiet := alice.public(), alice.public()
		bob.join(room)
		bob.join(quiet)
		bob.next()
		alice.say(room, "one")
		id := alice.say(room, "two")
		r.receipt(alice, quiet.ID(), "m.read", firstOf(t, r, quiet.ID()), "")
		alice.change(invite, alice.public(), bob.id())
		bob.account(0, "x", object{})
		r.toDevice(bob, "m.kept")
		r.deviceList(alice)
		r.stop()

		r = newRig(t, url)
		alice, bob = alice.on(r), bob.on(r)
		for range 2 {
			a := bob.ask(syncing.Request{})
			j := a.joined(room)
			if got := j.Timeline.bodies(); !slices.Equal(got, []string{"one", "two"}) || j.Timeline.Limited || len(j.State.Events) != 0 || j.Unread.Notify != 2 {
				t.Errorf("after the restart: %s", a.raw)
			}
			if q := a.Rooms.Join[quiet.ID()]; q == nil || q.Ephemeral.find("m.receipt", "") == nil || len(q.Timeline.Events) != 0 {
				t.Errorf("a receipt from before: %s", a.raw)
			}
			if len(a.Rooms.Invite) != 1 || a.Account.find("x", "") == nil || len(a.ToDevice.Events) != 1 || !slices.Equal(a.Lists.Changed, []matrix.UserID{alice.id()}) {
				t.Errorf("the user's own: %s", a.raw)
			}
		}
		bob.next()
		if a := bob.next(); a.Rooms.Join != nil || a.Rooms.Invite != nil || a.ToDevice.Events != nil {
			t.Errorf("news where there are none: %s", a.raw)
		}
		r.receipt(bob, room.ID(), "m.read", id, "")
		if j := bob.next().joined(room); j.Unread.Notify != 0 {
			t.Errorf("unread after reading: %+v", j.Unread)
		}
	})
}

func firstOf(t *testing.T, r *rig, id matrix.RoomID) matrix.EventID {
	t.Helper()
	room, err := r.rooms.Room(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	view, err := r.rooms.Current(ctx, room)
	if err != nil {
		t.Fatal(err)
	}
	e, err := view.Get(ctx, matrix.StateTuple{Type: "m.room.create"})
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

// Two processes on one database: who waits at one hears of what is written at the other, and tokens are good at both.
func TestTwoNodes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		if !storage.IsPostgres(url) {
			t.Skip("SQLite serves one process")
		}
		one, two := newRig(t, url), newRig(t, url)
		alice, bob := one.user("alice"), one.user("bob")
		room := alice.public()
		bob.join(room)
		there := bob.on(two)
		there.since = bob.next().NextBatch
		there.next()
		for _, body := range []string{"a", "b", "c"} {
			done := make(chan *answer, 1)
			go func() { done <- there.nextOfRooms() }()
			alice.say(room, body)
			a := <-done
			if got := a.joined(room); !slices.Equal(got.Timeline.bodies(), []string{body}) || got.Unread.Notify == 0 {
				t.Errorf("at the other node: %s", a.raw)
			}
			bob.since = a.NextBatch
			if a := bob.next(); a.Rooms.Join != nil {
				t.Errorf("the other node's token brought it again: %s", a.raw)
			}
			bob.say(room, "back")
			there.since = bob.next().NextBatch
			if a := there.next(); a.Rooms.Join != nil {
				t.Errorf("a token from ahead brought: %s", a.raw)
			}
		}
	})
}

// Presence is told to those who share a room, once.
func TestPresence(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, eve := r.user("alice"), r.user("bob"), r.user("eve")
		room := alice.public()
		bob.next()
		alice.next()
		eve.next()
		bob.join(room)
		if a := alice.next(); !slices.Contains(senders(a.Presence), bob.id()) {
			t.Errorf("who came: %s", a.raw)
		}
		if a := bob.next(); !slices.Contains(senders(a.Presence), alice.id()) {
			t.Errorf("whom he met: %s", a.raw)
		}
		bob.next()
		if err := r.sync.SetPresence(ctx, &alice.caller, "unavailable", "lunch"); err != nil {
			t.Fatal(err)
		}
		a := bob.next()
		if e := a.Presence.find("m.presence", ""); e == nil || e.Sender != alice.id() || e.Content["presence"] != "unavailable" || e.Content["status_msg"] != "lunch" {
			t.Errorf("away: %s", a.raw)
		}
		if a := bob.next(); a.Presence.Events != nil {
			t.Errorf("again: %s", a.raw)
		}
		if a := eve.next(); a.Presence.Events != nil {
			t.Errorf("to a stranger: %s", a.raw)
		}
		if _, err := r.sync.Presence(ctx, &eve.caller, alice.id()); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("asked by a stranger: %v", err)
		}
	})
}

func senders(e events) (out []matrix.UserID) {
	for _, x := range e.Events {
		out = append(out, x.Sender)
	}
	return out
}

package sync_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	syncing "rempart/core/sync"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// Who types at one node is seen at the other.
func TestTypingBetweenNodes(t *testing.T) {
	url := pgtest.New(t)
	one, two := newRig(t, url), newRig(t, url)
	alice, bob := one.user("alice"), one.user("bob")
	room := alice.public()
	bob.join(room)
	bob = bob.on(two)
	bob.next()
	end := time.Now().Add(mx.Patience)
	for tries := 0; time.Now().Before(end); tries++ { // Why again: what is ephemeral may be lost while a node starts to listen
		one.type_(alice, room.ID(), tries%2 == 0)
		a := bob.ask(syncing.Request{Timeout: eventually / 40})
		if a.Rooms.Join[room.ID()] != nil && a.joined(room).Ephemeral.find("m.typing", "") != nil {
			return
		}
		bob.since = a.NextBatch // it may be something else that has come
	}
	t.Fatal("bob never sees alice type")
}

// Who is here is seen at the other node, also by who comes later, until he is at no node any more.
func TestPresenceBetweenNodes(t *testing.T) {
	url := pgtest.New(t)
	var minutes atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(minutes.Load()) * time.Minute) }
	one, two := newRigAt(t, url, clock), newRigAt(t, url, clock)
	alice, bob, carol, eve := one.user("alice"), one.user("bob"), one.user("carol"), one.user("eve")
	room := alice.public()
	bob.join(room)
	carol.join(room)
	carol.next()
	bob, eve = bob.on(two), eve.on(two)
	bob.next()
	for tries := 0; !bob.sees(alice, "unavailable", eventually/40); tries++ { // Why again: what is ephemeral may be lost while a node starts to listen
		if tries > 120 {
			t.Fatal("bob never sees alice")
		}
		for _, state := range []string{"online", "unavailable"} {
			if err := one.sync.SetPresence(ctx, &alice.caller, state, "lunch"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a := eve.next(); len(a.Presence.Events) > 1 {
		t.Errorf("to a stranger: %s", a.raw)
	}
	bob.since = ""
	if e := bob.next().Presence.from(alice); e == nil || e.Content["presence"] != "unavailable" || e.Content["status_msg"] != "lunch" {
		t.Errorf("who comes later sees %v", e)
	}
	there := alice.on(two)
	there.next()
	if !carol.sees(alice, "online", eventually) {
		t.Fatal("carol does not see alice come back at the other node")
	}
	minutes.Add(2)
	there.next()
	one.sync.Sweep() // alice has not been at this node for long, but at the other
	if got, err := one.sync.Presence(ctx, &carol.caller, alice.id()); err != nil || !strings.Contains(string(got), "online") {
		t.Errorf("alice is at the other node and here %s, %v", got, err)
	}
	minutes.Add(12)
	two.sync.Sweep()
	if !carol.sees(alice, "offline", eventually) {
		t.Error("alice has gone, unseen")
	}
}

// sees syncs until the client is told that somebody is in a state, or for so long.
func (c *client) sees(who *client, state string, long time.Duration) bool {
	c.t.Helper()
	for end := time.Now().Add(long); time.Now().Before(end); { // Why not so many answers: others may bring something else
		a := c.ask(syncing.Request{Timeout: time.Until(end)})
		c.since = a.NextBatch
		if e := a.Presence.from(who); e != nil && e.Content["presence"] == state {
			return true
		}
	}
	return false
}

func (e events) from(who *client) *event {
	for i := range e.Events {
		if e.Events[i].Sender == who.id() {
			return &e.Events[i]
		}
	}
	return nil
}

// Who comes into a room by another node than that at which he syncs is seen by those who heard that he came before he did.
func TestPresenceOfWhoCameByAnotherNode(t *testing.T) {
	url := pgtest.New(t)
	one, two := newRig(t, url), newRig(t, url)
	alice, carol := one.user("alice"), one.user("carol")
	room := alice.public()
	alice.next()
	carol.next()
	carol.on(two).join(room)
	for end := time.Now().Add(eventually); ; {
		a := alice.ask(syncing.Request{Timeout: time.Until(end)})
		alice.since = a.NextBatch
		if j := a.Rooms.Join[room.ID()]; j != nil && j.Timeline.find("m.room.member", string(carol.id())) != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("alice never hears that carol came")
		}
	}
	carol.next()
	if !alice.sees(carol, "online", eventually) {
		t.Error("alice does not see carol")
	}
}

// Who comes into a room at one node is seen there at the other, though nothing is new with him but that.
func TestPresenceOfWhoCameAtAnotherNode(t *testing.T) {
	url := pgtest.New(t)
	one, two := newRig(t, url), newRig(t, url)
	alice, bob := one.user("alice"), one.user("bob")
	meeting, room := bob.public(), alice.public()
	alice.join(meeting)
	there := alice.on(two)
	there.next()
	bob.next()
	for tries := 0; !there.sees(bob, "unavailable", eventually/40); tries++ { // Why again: what is ephemeral may be lost while a node starts to listen
		if tries > 120 {
			t.Fatal("alice never sees bob")
		}
		for _, state := range []string{"online", "unavailable"} {
			if err := one.sync.SetPresence(ctx, &bob.caller, state, "lunch"); err != nil {
				t.Fatal(err)
			}
		}
	}
	carol := one.user("carol")
	carol.join(room)
	carol = carol.on(two)
	carol.next()
	bob.next() // online: who shares no room with him is not told
	if err := one.sync.SetPresence(ctx, &bob.caller, "unavailable", "lunch"); err != nil {
		t.Fatal(err)
	}
	if !there.sees(bob, "unavailable", eventually) {
		t.Fatal("alice does not see bob")
	}
	carol.next()
	bob.join(room)
	if !carol.sees(bob, "unavailable", eventually) {
		t.Error("carol does not see bob, who has come in at the other node")
	}
}

package sync_test

import (
	"fmt"
	"slices"
	"testing"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
)

// A token from before all that was pruned since brings whatever changed, in a process that was there and in one that was not.
func TestTokenOlderThanPruned(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		alice, bob, carol := r.user("alice"), r.user("bob"), r.user("carol")
		room := alice.public()
		bob.join(room)
		carol.join(room)
		alice.set(room, "m.room.topic", "", object{"topic": "old"})
		gone := alice.set(room, "org.example.gone", "", object{"is": "unchanged"})
		alice.say(room, "seen")
		bob.next() // the token
		carol.leave(room)
		alice.change(invite, alice.public(), bob.id())
		for i := range 30 {
			alice.set(room, "m.room.topic", "", object{"topic": fmt.Sprint(i)})
			alice.say(room, fmt.Sprint("purged ", i))
		}
		name := alice.set(room, "m.room.name", "", object{"name": "in the pruned time"})
		r.toDevice(bob, "m.kept")
		bob.account(0, "x", object{})
		r.deviceList(alice)
		kept := alice.say(room, "kept")
		for i := range 12 {
			alice.say(room, fmt.Sprint("late ", i))
		}
		r.prune(room, kept)

		for _, at := range []*rig{r, newRig(t, url)} {
			for range 2 {
				a := bob.on(at).ask(syncing.Request{})
				j := a.joined(room)
				if !j.Timeline.Limited || !slices.Contains(j.Timeline.bodies(), "late 11") || slices.Contains(j.Timeline.bodies(), "purged 29") {
					t.Errorf("timeline: %s", a.raw)
				}
				topic, named := j.State.find("m.room.topic", ""), j.State.find("m.room.name", "")
				if topic == nil || topic.Content["topic"] != "29" || named == nil || named.ID != name {
					t.Errorf("state from the pruned time: %s", a.raw)
				}
				if m := j.State.find("m.room.member", string(carol.id())); m == nil || m.Content["membership"] != "leave" {
					t.Errorf("who left in the pruned time: %s", a.raw)
				}
				if e := j.State.find("org.example.gone", ""); e != nil && e.ID != gone {
					t.Errorf("state that did not change: %+v", e)
				}
				if len(a.Rooms.Invite) != 1 || a.Account.find("x", "") == nil || len(a.ToDevice.Events) != 1 || !slices.Contains(a.Lists.Changed, alice.id()) {
					t.Errorf("the user's own: %s", a.raw)
				}
			}
		}
		first := *bob // and whoever has no token gets all there is
		first.since = ""
		if j := first.next().joined(room); j.State.find("m.room.name", "") == nil || j.State.find("org.example.gone", "") == nil {
			t.Errorf("a first sync: %+v", j)
		}
	})
}

// prune purges a room up to an event and deletes all that may be deleted then, as if years had passed.
func (r *rig) prune(room *rooms.Room, before matrix.EventID) {
	r.t.Helper()
	e, err := r.rooms.EventByID(ctx, room, before)
	if err == nil {
		_, err = r.rooms.Purge(ctx, room, before)
	}
	f := rooms.Folding{Room: room.NID(), Before: e.Position()}
	for _, f.Second = range []bool{false, true} {
		if err == nil {
			err = r.rooms.Fold(ctx, f)
		}
	}
	if err == nil {
		err = r.db.MarkStream(ctx, 1)
	}
	if err == nil {
		_, err = r.db.PruneChanges(ctx, 2)
	}
	if err == nil {
		_, err = r.db.PruneTransactions(ctx, 1<<62)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// A thread whose first event was purged has no name by which its counts could be told; those of the others are told all the same.
func TestCountsOfThreadsBesidePurgedOnes(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		purged := bob.say(room, "purged")
		var roots []matrix.EventID
		for range 6 {
			roots = append(roots, bob.say(room, "root"))
		}
		for _, root := range append(roots, purged) {
			bob.send(room, "m.room.message", object{"msgtype": "m.text", "body": "reply", "m.relates_to": object{"rel_type": "m.thread", "event_id": root}})
		}
		if n, err := r.rooms.Purge(ctx, room, roots[0]); err != nil || n != 1 {
			t.Fatalf("%d purged, %v", n, err)
		}
		alice.filter = `{"room":{"timeline":{"unread_thread_notifications":true}}}`
		threads := alice.next().joined(room).Threads
		for _, root := range roots {
			if threads[root].Notify != 1 {
				t.Errorf("thread %s: %+v", root, threads[root])
			}
		}
		if len(threads) != len(roots) {
			t.Errorf("%d threads, want %d", len(threads), len(roots))
		}
	})
}

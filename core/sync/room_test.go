package sync_test

import (
	"fmt"
	"slices"
	"testing"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
)

// A first sync brings a room whole; the next one nothing; then just what came.
func TestFirstAndNext(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		a := alice.next()
		j := a.joined(room)
		if len(j.Timeline.Events) == 0 || j.Timeline.Events[len(j.Timeline.Events)-1].Type != "m.room.member" {
			t.Fatalf("the first timeline: %s", a.raw)
		}
		if a.Account.find("m.push_rules", "") == nil {
			t.Errorf("no push rules at first: %s", a.raw)
		}
		if j.Summary["m.joined_member_count"] != 2.0 {
			t.Errorf("summary %v", j.Summary)
		}
		if a := alice.next(); len(a.Rooms.Join) != 0 || a.Account.Events != nil {
			t.Errorf("news where there are none: %s", a.raw)
		}
		id := bob.say(room, "hello")
		a = alice.next()
		j = a.joined(room)
		if len(j.Timeline.Events) != 1 || j.Timeline.Events[0].ID != id || j.Timeline.Limited || len(j.State.Events) != 0 {
			t.Errorf("after a message: %s", a.raw)
		}
		if j.Timeline.Events[0].Unsigned["membership"] != "join" {
			t.Errorf("unsigned %v", j.Timeline.Events[0].Unsigned)
		}
		if j.Unread == nil || j.Unread.Notify != 1 {
			t.Errorf("unread %+v", j.Unread)
		}
	})
}

// From a gap's prev_batch /messages fills exactly what is missing, whatever filter and pace.
func TestGapsAreFilledExactly(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		for _, limit := range []int{1, 3, 10} {
			bob.filter = fmt.Sprintf(`{"room":{"timeline":{"limit":%d}}}`, limit)
			bob.since = ""
			first := bob.next()
			if got := len(first.joined(room).Timeline.Events); got > limit {
				t.Fatalf("%d events for limit %d", got, limit)
			}
			for _, n := range []int{1, limit, limit + 1, 3 * limit, 80} {
				before := bob.since
				var sent, got []string
				for i := range n {
					body := fmt.Sprintf("%d/%d/%d", limit, n, i)
					sent = append(sent, body)
					alice.say(room, body)
				}
				j := bob.next().joined(room)
				if j.Timeline.Limited != (n > limit) {
					t.Errorf("limit %d, %d events: limited %v", limit, n, j.Timeline.Limited)
				}
				if j.Timeline.Limited {
					got = fill(t, r, room, bob.id(), j.Timeline.Prev, before)
				}
				got = append(got, j.Timeline.bodies()...)
				if !slices.Equal(got, sent) {
					t.Errorf("limit %d, %d events: got %v, want %v", limit, n, got, sent)
				}
			}
		}
	})
}

// fill reads a gap backwards, in small pages.
func fill(t *testing.T, r *rig, room *rooms.Room, user matrix.UserID, from, to string) []string {
	t.Helper()
	start, err := matrix.ParsePageToken(from)
	if err != nil {
		t.Fatal(err)
	}
	end, err := matrix.ParsePageToken(to)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for at := &start; at != nil; {
		page, err := r.rooms.Messages(t.Context(), room, user, rooms.MessagesRequest{From: at, To: &end, Backward: true, Limit: 7})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			var c struct{ Body string }
			_ = unmarshal(e.Content, &c)
			out = append(out, c.Body)
		}
		if len(page.Events) == 0 {
			break
		}
		at = page.End
	}
	slices.Reverse(out)
	return out
}

// A token that is used again gets at least what it got before, and what came since.
func TestRepeatedToken(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		bob.next()
		alice.say(room, "one")
		first := bob.ask(syncing.Request{})
		alice.say(room, "two")
		again := bob.ask(syncing.Request{})
		if got := again.joined(room).Timeline.bodies(); !slices.Equal(got, []string{"one", "two"}) ||
			!slices.Equal(first.joined(room).Timeline.bodies(), []string{"one"}) {
			t.Errorf("the repeated token brought %v", got)
		}
	})
}

// State in a gap comes as state; with state_after up to the end, and the timeline changes nothing.
func TestStateInGaps(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, carol := r.user("alice"), r.user("bob"), r.user("carol")
		room := alice.public()
		bob.join(room)
		carol.join(room)
		bob.filter, carol.filter = `{"room":{"timeline":{"limit":2}}}`, `{"room":{"timeline":{"limit":2}}}`
		carol.after = true
		bob.next()
		carol.next()
		alice.set(room, "m.room.topic", "", object{"topic": "early"})
		for range 3 {
			alice.say(room, "x")
		}
		alice.set(room, "m.room.topic", "", object{"topic": "late"})
		b, c := bob.next().joined(room), carol.next().joined(room)
		if e := b.State.find("m.room.topic", ""); e == nil || e.Content["topic"] != "early" || b.StateAfter != nil {
			t.Errorf("state before the timeline: %+v", b.State)
		}
		if e := c.StateAfter.find("m.room.topic", ""); e == nil || e.Content["topic"] != "late" || c.State != nil {
			t.Errorf("state after the timeline: %+v", c.StateAfter)
		}
		alice.set(room, "m.room.topic", "", object{"topic": "last"})
		b, c = bob.next().joined(room), carol.next().joined(room)
		if len(b.State.Events) != 0 {
			t.Errorf("state that stands in the timeline came twice: %+v", b.State)
		}
		if e := c.StateAfter.find("m.room.topic", ""); e == nil || e.Content["topic"] != "last" {
			t.Errorf("state after a full timeline: %+v", c.StateAfter)
		}
		alice.say(room, "y")
		if c = carol.next().joined(room); c.StateAfter == nil || len(c.StateAfter.Events) != 0 {
			t.Errorf("state_after must be there, empty: %+v", c.StateAfter)
		}
		carol.unstable = true // as matrix-js-sdk asks
		alice.say(room, "z")
		if c = carol.next().joined(room); c.Unstable == nil || c.StateAfter != nil {
			t.Errorf("asked by the unstable name: %+v, %+v", c.Unstable, c.StateAfter)
		}
	})
}

// A token of another life of the stream, or from ahead of it, is answered with everything.
func TestForeignTokens(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		room := alice.public()
		now := alice.next().NextBatch
		token, err := matrix.ParseSyncToken(now)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range []func(*matrix.SyncToken){
			func(s *matrix.SyncToken) { s.Epoch++ }, func(s *matrix.SyncToken) { s.Pos += 1000 },
		} {
			odd := token
			change(&odd)
			alice.since = odd.String()
			a := alice.ask(syncing.Request{})
			if j := a.joined(room); j.Timeline.find("m.room.create", "") == nil && j.State.find("m.room.create", "") == nil {
				t.Errorf("token %s: no full state in %s", odd, a.raw)
			}
		}
	})
}

// full_state brings all state whatever the token.
func TestFullState(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		room := alice.public()
		alice.next()
		if j := alice.ask(syncing.Request{FullState: true}).joined(room); j.State.find("m.room.create", "") == nil || len(j.Timeline.Events) != 0 {
			t.Errorf("full state: %+v", j)
		}
	})
}

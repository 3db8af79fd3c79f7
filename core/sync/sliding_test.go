package sync_test

import (
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
)

// A window shows the rooms in order of activity; what is outside comes when it grows or when something happens there.
func TestSlidingWindow(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		var list []*rooms.Room
		for range 4 {
			room := bob.public()
			alice.join(room)
			list = append(list, room)
		}
		bob.say(list[1], "one")
		s := alice.slider(window(1, 1))
		a := s.next()
		if a.Lists["all"].Count != 4 || !slices.Equal(a.ids(), idsOf(list[1], list[3])) {
			t.Fatalf("first window: %s", a.raw)
		}
		first := a.room(list[1])
		if !first.Initial || !first.Limited || first.Prev == "" || first.Live != 0 || !slices.Equal(first.bodies(), []string{"one"}) || *first.Joined != 2 {
			t.Errorf("a room in the first answer: %s", a.raw)
		}
		if first.Bump <= a.room(list[3]).Bump || a.room(list[3]).Bump == 0 {
			t.Errorf("bump stamps: %s", a.raw)
		}
		s.quiet()

		bob.say(list[0], "two")
		a = s.next()
		if got := a.room(list[0]); len(a.Rooms) != 1 || !got.Initial || got.Live != 1 || !slices.Equal(got.bodies(), []string{"two"}) {
			t.Errorf("a room comes into the window: %s", a.raw)
		}
		bob.say(list[1], "three")
		bob.say(list[1], "four")
		a = s.next()
		if got := a.room(list[1]); len(a.Rooms) != 1 || got.Initial || !got.Limited || got.Live != 1 || !slices.Equal(got.bodies(), []string{"four"}) {
			t.Errorf("more than the limit: %s", a.raw)
		}
		s.body = window(99999, 1)
		a = s.next()
		if !slices.Equal(a.ids(), idsOf(list[2])) || !a.room(list[2]).Initial {
			t.Errorf("a larger window brings the others once: %s", a.raw)
		}
		s.quiet()
	})
}

// More events are sent when a client wants longer timelines, at once and marked as not new.
func TestSlidingTimelineGrows(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		room := alice.public()
		for _, body := range []string{"a", "b", "c", "d"} {
			alice.say(room, body)
		}
		s := alice.slider(window(9, 1))
		s.next()
		s.body["room_subscriptions"] = object{string(room.ID()): object{"timeline_limit": 3, "required_state": [][]string{{"m.room.create", ""}}}}
		a, err := s.try(eventually)
		if err != nil {
			t.Fatal(err)
		}
		got := a.room(room)
		if !got.Unstable || got.Initial || got.Live != 0 || !slices.Equal(got.bodies(), []string{"b", "c", "d"}) || !slices.Equal(got.types(), []string{"m.room.create|"}) {
			t.Errorf("the room is opened: %s", a.raw)
		}
		s.pos = a.Pos
		s.quiet()
		alice.say(room, "e")
		if got := s.next().room(room); got.Unstable || got.Limited || !slices.Equal(got.bodies(), []string{"e"}) || got.Live != 1 {
			t.Errorf("then what is new: %+v", got)
		}
	})
}

// What was sent is remembered over a restart: a repeated place brings the same, the next one what came since, and a place
// that nobody gave out is told from a lost one.
func TestSlidingRestart(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		room, quiet := bob.public(), bob.public()
		alice.join(room)
		alice.join(quiet)
		s := alice.slider(window(9, 5, []string{"m.room.create", ""}))
		s.body["extensions"] = object{"account_data": object{"enabled": true}, "receipts": object{"enabled": true}}
		s.next()
		s.next()
		bob.say(room, "one")
		lost := s.ask()
		r.stop()

		r = newRig(t, url)
		bob, s = bob.on(r), s.on(r)
		a := s.ask()
		if !slices.Equal(a.ids(), lost.ids()) || a.room(room).Initial || !slices.Equal(a.room(room).bodies(), []string{"one"}) || len(a.room(room).State) != 0 {
			t.Errorf("a lost answer repeated after a restart: %s", a.raw)
		}
		s.pos = a.Pos
		s.quiet()
		r.receipt(bob, quiet.ID(), "m.read", firstOf(t, r, quiet.ID()), "")
		r.stop()

		r = newRig(t, url)
		bob, s = bob.on(r), s.on(r)
		if a := s.next(); len(a.Rooms) != 0 || a.Ext.Receipts.Rooms[quiet.ID()].Type != "m.receipt" {
			t.Errorf("a receipt from before the restart: %s", a.raw)
		}
		bob.say(room, "two")
		if a := s.next(); !slices.Equal(a.room(room).bodies(), []string{"two"}) || a.room(room).Initial {
			t.Errorf("after another restart: %s", a.raw)
		}
		s.pos = "z1_1_1_1_1"
		if _, err := s.try(0); !matrix.HasCode(err, matrix.CodeUnknownPos) {
			t.Errorf("a place that nobody gave out: %v", err)
		}
		s.pos = ""
		if a := s.next(); len(a.Rooms) != 2 || !a.room(room).Initial {
			t.Errorf("the connection anew: %s", a.raw)
		}
	})
}

// The process dies before it stored what was sent: the client is told things again, and misses nothing.
func TestSlidingCrash(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room, old, brief := bob.public(), bob.public(), bob.public()
		alice.join(room)
		alice.join(old)
		s := alice.slider(window(9, 5))
		s.next()
		s.next()
		bob.say(room, "one")
		s.next()
		alice.join(brief)
		s.pos = s.ask().Pos
		alice.leave(old)
		alice.leave(brief)
		if err := r.rooms.Forget(ctx, brief, alice.id()); err != nil {
			t.Fatal(err)
		}
		r.sync.ForgetConnections()
		bob.say(room, "two")
		a := s.next()
		if got := a.room(room); !slices.Contains(got.bodies(), "two") {
			t.Errorf("after a crash: %s", a.raw)
		}
		for _, left := range []*rooms.Room{old, brief} { // the other one forgotten, too
			if got := a.room(left); !slices.ContainsFunc(got.State, func(e event) bool { return e.Content["membership"] == "leave" }) {
				t.Errorf("a room that was left meanwhile: %s", a.raw)
			}
		}
		s.quiet()
	})
}

// A place on a connection is good for its owner's device only.
func TestSlidingForeignPlace(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, eve := r.user("alice"), r.user("eve")
		room := alice.public()
		s := alice.slider(window(9, 5))
		s.next()
		alice.say(room, "secret")
		thief := eve.slider(window(9, 5))
		thief.pos = s.pos
		if a, err := thief.try(0); !matrix.HasCode(err, matrix.CodeUnknownPos) {
			t.Errorf("another's place: %v %+v", err, a)
		}
	})
}

// A lost answer is repeated with what came since, as often as the client asks.
func TestSlidingLostAnswer(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := bob.public()
		alice.join(room)
		s := alice.slider(window(9, 5, []string{"m.room.member", "$LAZY"}))
		s.next()
		bob.say(room, "one")
		for range 2 {
			if got := s.ask().room(room); !slices.Equal(got.bodies(), []string{"one"}) || got.Initial {
				t.Errorf("lost and repeated: %+v", got)
			}
		}
		bob.say(room, "two")
		if got := s.next().room(room); !slices.Equal(got.bodies(), []string{"one", "two"}) {
			t.Errorf("with what came since: %+v", got)
		}
		s.quiet()
	})
}

// Two connections of a device do not disturb one another.
func TestSlidingConnections(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		room := alice.public()
		one, two := alice.slider(window(9, 5)), alice.slider(window(9, 5))
		one.conn, two.conn = "one", "two"
		one.next()
		two.next()
		alice.say(room, "hello")
		for _, s := range []*slider{one, two} {
			if got := s.next().room(room); !slices.Equal(got.bodies(), []string{"hello"}) {
				t.Errorf("%s: %+v", s.conn, got)
			}
			s.quiet()
		}
		for range 20 {
			more := alice.slider(window(9, 5))
			more.conn = string(alice.say(room, "x"))
			more.next()
		}
		r.sync.ForgetConnections()
		if _, err := one.try(0); !matrix.HasCode(err, matrix.CodeUnknownPos) {
			t.Errorf("the connection used longest ago is still there among many: %v", err)
		}
	})
}

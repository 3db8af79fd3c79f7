package sync_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// hold keeps what is committed from now on from being told to anybody, until the function that it yields is called.
func (r *rig) hold() (open func()) {
	var closed sync.Mutex
	closed.Lock()
	wait := func() { closed.Lock(); defer closed.Unlock() }
	r.first.Store(&wait)
	return func() { r.first.Store(nil); closed.Unlock() }
}

// leaves has somebody leave a room in the background, and waits until that stands in the database.
func (c *client) leaves(room *rooms.Room) (told *sync.WaitGroup) {
	c.t.Helper()
	told = &sync.WaitGroup{}
	told.Go(func() { c.leave(room) })
	for {
		m, err := c.db.FindMembership(c.t.Context(), c.caller.UserNID, room.NID())
		if err != nil {
			c.t.Fatal(err)
		}
		if m.Membership == storage.MemberLeave {
			return told
		}
	}
}

// moment lasts for some reads of the database.
func (r *rig) moment() {
	for range 2000 {
		if _, err := r.db.StreamPosition(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// A list of rooms that is read while one is being left is not older than what the client is told: all that was said there comes.
func TestRoomsReadWhileOneIsLeft(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := bob.public()
		alice.join(room)
		alice.next()
		bob.say(room, "last words")
		r.sync.ForgetUser(alice.caller.UserNID)
		open := r.hold()
		left := alice.leaves(room)
		var first *answer
		var syncing sync.WaitGroup
		syncing.Go(func() { first = alice.next() })
		r.moment()
		open()
		left.Wait()
		syncing.Wait()
		then := alice.next()
		var got []string
		for _, a := range []*answer{first, then} {
			for _, part := range []*joined{a.Rooms.Join[room.ID()], a.Rooms.Leave[room.ID()]} {
				if part != nil {
					got = append(got, part.Timeline.bodies()...)
				}
			}
		}
		if !slices.Equal(got, []string{"last words"}) {
			t.Errorf("told %v: %s, then %s", got, first.raw, then.raw)
		}
	})
}

// A service that begins while something is on its way to those who hear knows that it does not know of it.
func TestBeginsWhileSomethingIsTold(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		room, other := alice.public(), alice.public()
		alice.next()
		open := r.hold()
		var said, begun sync.WaitGroup
		before, err := r.db.StreamPosition(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		said.Go(func() { alice.say(room, "meanwhile") })
		for pos := before; pos == before; {
			if pos, err = r.db.StreamPosition(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		late := &rig{t: t, db: r.db, rooms: r.rooms, push: r.push, bus: r.bus}
		begun.Go(func() {
			late.sync = syncing.New(syncing.Options{DB: r.db, Rooms: r.rooms, Push: r.push, Bus: r.bus})
		})
		r.moment()
		open()
		said.Wait()
		begun.Wait()
		defer late.sync.Close()
		alice.say(other, "after")
		if a := alice.on(late).next(); !slices.Equal(a.joined(other).Timeline.bodies(), []string{"after"}) ||
			a.Rooms.Join[room.ID()] == nil || !slices.Equal(a.joined(room).Timeline.bodies(), []string{"meanwhile"}) {
			t.Errorf("told %s", a.raw)
		}
	})
}

// Whoever was on his way out when it was looked whose keys are new, and has come back, is told with his new keys.
func TestDeviceListOfWhoWentAndCame(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		alice.next()
		r.deviceList(bob)
		open := r.hold()
		left := bob.leaves(room)
		first := alice.next() // as of before he left, when the database has him gone
		open()
		left.Wait()
		bob.join(room)
		if then := alice.next(); !slices.Contains(slices.Concat(first.Lists.Changed, then.Lists.Changed), bob.id()) {
			t.Errorf("not told of bob's keys: %+v, %+v", first.Lists, then.Lists)
		}
	})
}

// A filter on rooms says nothing of whose keys are wanted.
func TestDeviceListsOfRoomsNotWanted(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := bob.public()
		alice.filter = `{"room":{"not_rooms":["` + string(room.ID()) + `"]}}`
		alice.next()
		alice.join(room)
		if a := alice.next(); !slices.Contains(a.Lists.Changed, bob.id()) || a.Rooms.Join != nil {
			t.Errorf("told %s", a.raw)
		}
	})
}

// A node that has not yet read that a user came into a room, though another has told him, tells him of the keys that changed there since.
func TestDeviceListWhileRoomsAreStale(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("SQLite serves one process")
	}
	url := pgtest.New(t)
	one, two := newRig(t, url), newRig(t, url)
	alice, bob := one.user("alice"), one.user("bob")
	room := bob.public()
	alice.next()
	there := alice.on(two)
	there.next()
	alice.join(room)
	there.since = alice.next().NextBatch
	one.deviceList(bob)
	if err := two.db.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	two.sync.SpreadLists()
	if a := there.next(); !slices.Contains(a.Lists.Changed, bob.id()) {
		t.Errorf("told %s", a.raw)
	}
}

// Who slides by one device hears that he left and forgot a room by another.
func TestSlidingForgottenElsewhere(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		room, stays, last := alice.public(), alice.public(), alice.public()
		s := alice.slider(window(9, 5, []string{"m.room.member", "*"}))
		s.next()
		for _, gone := range []*rooms.Room{room, last} { // one that comes before another in the list, and the end of it
			alice.leave(gone)
			if err := r.rooms.Forget(ctx, gone, alice.id()); err != nil {
				t.Fatal(err)
			}
			a := s.next()
			if own := (events{a.room(gone).State}).find("m.room.member", string(alice.id())); own == nil || own.Content["membership"] != "leave" || a.Rooms[stays.ID()] != nil {
				t.Errorf("told %s", a.raw)
			}
			s.quiet()
		}
	})
}

// Who slides hears that typing ended while nothing was known of him.
func TestSlidingTypingEndedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		body := window(9, 5)
		body["extensions"] = object{"typing": object{"enabled": true}}
		s := alice.slider(body)
		s.next()
		r.type_(bob, room.ID(), true)
		if a := s.next(); len(a.Ext.Typing.Rooms) != 1 {
			t.Fatalf("bob types: %s", a.raw)
		}
		r.sync.ForgetUser(alice.caller.UserNID)
		r.type_(bob, room.ID(), false)
		if e, ok := s.next().Ext.Typing.Rooms[room.ID()]; !ok || len(e.Content["user_ids"].([]any)) != 0 {
			t.Errorf("bob no longer types: %v", e)
		}
	})
}

// Who comes back into a room learns who types there now, whatever he saw before he left.
func TestTypingWhileAway(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room, other := bob.public(), alice.public()
		alice.join(room)
		body := window(9, 5)
		body["extensions"] = object{"typing": object{"enabled": true}}
		s := alice.slider(body)
		s.next()
		alice.next()
		typing := func(is bool) {
			t.Helper()
			want := 0
			if is {
				want = 1
			}
			if e := alice.next().joined(room).Ephemeral.find("m.typing", ""); e == nil || len(e.Content["user_ids"].([]any)) != want {
				t.Errorf("bob types: %v; told is %v", is, e)
			}
			if e, ok := s.next().Ext.Typing.Rooms[room.ID()]; !ok || len(e.Content["user_ids"].([]any)) != want {
				t.Errorf("bob types: %v; who slides is told %v", is, e)
			}
		}
		r.type_(bob, room.ID(), true)
		typing(true)
		for _, is := range []bool{false, true} {
			alice.leave(room)
			alice.next()
			s.next()
			r.type_(bob, room.ID(), is)
			r.type_(alice, other.ID(), is) // which moves the count on
			alice.next()
			s.next()
			alice.join(room)
			typing(is)
		}
	})
}

// A room that loses its name is told with those by whom it may be named.
func TestNameTakenAway(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.create(&rooms.CreateRequest{Preset: "public_chat", Name: "named"})
		bob.join(room)
		if j := alice.next().joined(room); j.Summary["m.heroes"] != nil {
			t.Errorf("a room with a name: %v", j.Summary)
		}
		alice.set(room, "m.room.name", "", object{"name": ""})
		if j := alice.next().joined(room); fmt.Sprint(j.Summary["m.heroes"]) != fmt.Sprint([]any{bob.id()}) {
			t.Errorf("without: %v", j.Summary)
		}
	})
}

// Who came into a room and was not heard of again is seen to be gone there, too.
func TestGoneFromRoomsNotRead(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		var minutes atomic.Int64
		r := newRigAt(t, url, func() time.Time { return time.Now().Add(time.Duration(minutes.Load()) * time.Minute) })
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		alice.next()
		bob.next()
		bob.join(room)
		if e := alice.next().Presence.from(bob); e == nil || e.Content["presence"] != "online" {
			t.Fatalf("bob came: %+v", e)
		}
		minutes.Add(2)
		alice.next()
		r.sync.Sweep()
		if e := alice.next().Presence.from(bob); e == nil || e.Content["presence"] != "offline" {
			t.Errorf("bob has gone: %+v", e)
		}
	})
}

// Who comes into a room is told of who came just before and has not been heard of since.
func TestOnlineWhereSomebodyElseCame(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, carol := r.user("alice"), r.user("bob"), r.user("carol")
		room := alice.public()
		bob.next()
		carol.next()
		carol.join(room)
		bob.next()
		bob.join(room)
		bob.next()
		carol.next()
		if e := bob.next().Presence.from(carol); e == nil || e.Content["presence"] != "online" {
			t.Errorf("bob is told %v of carol", e)
		}
	})
}

// A process that ends has those who wait told that nobody types; the next one tells it when it hears so first.
func TestTypingAcrossRestart(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		alice.next()
		r.type_(bob, room.ID(), true)
		away := *alice
		if e := away.next().joined(room).Ephemeral.find("m.typing", ""); len(e.Content["user_ids"].([]any)) != 1 {
			t.Fatalf("bob types: %+v", e)
		}
		alice.since = away.since
		var last *answer
		var waiting sync.WaitGroup
		waiting.Go(func() { last = alice.ask(syncing.Request{Timeout: eventually}) })
		for r.sync.Waiting() == 0 {
			r.moment()
		}
		r.sync.Close()
		waiting.Wait()
		r.sync = syncing.New(syncing.Options{DB: r.db, Rooms: r.rooms, Push: r.push, Bus: r.bus})
		if e := last.joined(room).Ephemeral.find("m.typing", ""); e == nil || len(e.Content["user_ids"].([]any)) != 0 {
			t.Errorf("the process ends: %s", last.raw)
		}
		here := away.on(r)
		r.type_(bob.on(r), room.ID(), false)
		if e := here.next().joined(room).Ephemeral.find("m.typing", ""); e == nil || len(e.Content["user_ids"].([]any)) != 0 {
			t.Errorf("bob no longer types: %+v", e)
		}
	})
}

// A token of a node whose count of what is ephemeral is ahead does not make a client deaf here.
func TestEphemeralCountOfAnotherNode(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		alice.next()
		token, err := matrix.ParseSyncToken(alice.next().NextBatch)
		if err != nil {
			t.Fatal(err)
		}
		token.Ephemeral += time.Hour.Milliseconds()
		alice.since = token.String()
		var heard *answer
		var waiting sync.WaitGroup
		waiting.Go(func() { heard = alice.ask(syncing.Request{Timeout: eventually}) })
		for r.sync.Waiting() == 0 {
			r.moment()
		}
		r.type_(bob, room.ID(), true)
		waiting.Wait()
		if !strings.Contains(heard.raw, "m.typing") {
			t.Errorf("told %s", heard.raw)
		}
	})
}

// What was deleted while a user was out of a room is deleted when he comes back; and where a node does not know that an extension was on.
func TestDataDeletedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := bob.public()
		alice.join(room)
		alice.account(room.NID(), "x", object{"is": "set"})
		alice.account(0, "x", object{"is": "set"})
		if j := alice.next().joined(room); j.Account.find("x", "") == nil {
			t.Fatalf("data of the room: %+v", j)
		}
		s := alice.slider(window(9, 5))
		s.next()
		alice.leave(room)
		alice.next()
		alice.account(room.NID(), "x", object{})
		alice.account(0, "x", object{})
		alice.join(room)
		if e := alice.next().joined(room).Account.find("x", ""); e == nil || len(e.Content) != 0 {
			t.Errorf("after the return: %+v", e)
		}
		s.body = window(9, 5)
		s.body["extensions"] = object{"account_data": object{"enabled": true}}
		if a := s.next(); !slices.ContainsFunc(a.Ext.Account.Global, func(e event) bool { return e.Type == "x" && len(e.Content) == 0 }) {
			t.Errorf("to who slides: %s", a.raw)
		}
	})
}

// Who is in a room no more, or asked into it no more, though no event says so, as after a resolution of state, is told that he is out.
func TestOutWithoutAnEvent(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		for _, c := range []struct {
			invited bool
			now     storage.Membership
			told    []string
		}{{false, storage.MemberLeave, []string{"last words"}}, {false, storage.MemberNone, []string{"last words"}}, {true, storage.MemberNone, nil}} {
			room := bob.public()
			if c.invited {
				bob.change(invite, room, alice.id())
			} else {
				alice.join(room)
			}
			alice.next()
			bob.say(room, "last words")
			alice.taken(room, c.now)
			a := alice.next()
			if j := a.Rooms.Leave[room.ID()]; j == nil || !slices.Equal(j.Timeline.bodies(), c.told) {
				t.Errorf("%+v: told %s", c, a.raw)
			}
			if a := alice.next(); a.Rooms.Leave != nil {
				t.Errorf("%+v: told again: %s", c, a.raw)
			}
		}
	})
}

// Who slides is told so too: in the stable dialect that he is out and that his membership is gone, also by a connection of which was lost what it
// had been sent; the older one has no word for it, and brings what was said to him at last. New connections do not see the room.
func TestSlidingOutWithoutAnEvent(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		for _, c := range []struct{ invited, stable, crash bool }{{}, {stable: true}, {stable: true, crash: true}, {invited: true},
			{invited: true, stable: true}, {invited: true, stable: true, crash: true}} {
			s := alice.slider(object{"lists": object{"all": object{"range": []int{0, 9}, "timeline_limit": 5, "required_state": object{}}}})
			if s.stable = c.stable; !c.stable {
				s.body = window(9, 5)
			}
			s.next()
			s.pos = s.next().Pos
			room := bob.public()
			if c.invited {
				bob.change(invite, room, alice.id())
			} else {
				alice.join(room)
			}
			if a := s.next(); a.Lists["all"].Count != 1 || a.Rooms[room.ID()] == nil {
				t.Fatalf("%+v: before: %s", c, a.raw)
			}
			s.pos = s.ask().Pos
			bob.say(room, "last words")
			alice.taken(room, storage.MemberNone)
			if c.crash {
				r.sync.ForgetConnections()
			}
			a := s.next()
			got := a.Rooms[room.ID()]
			switch {
			case a.Lists["all"].Count != 0:
				t.Errorf("%+v: still in the list: %s", c, a.raw)
			case got == nil:
				if c.stable || !c.invited {
					t.Errorf("%+v: not told: %s", c, a.raw)
				}
			case c.invited && (got.Membership != "leave" || got.Stripped == nil || len(got.Stripped)+len(got.Timeline) > 0):
				t.Errorf("%+v: told %s", c, a.raw)
			case !c.invited && (c.stable && got.Membership != "leave" || !slices.Contains(got.bodies(), "last words")):
				t.Errorf("%+v: told %s", c, a.raw)
			case c.stable && !slices.Equal(got.types(), []string{"m.room.member|" + string(alice.id())}):
				t.Errorf("%+v: the state has %v", c, got.types())
			}
			s.quiet()
			if s.pos = ""; len(s.next().Rooms) != 0 {
				t.Errorf("%+v: a new connection sees the room", c)
			}
		}
	})
}

// taken takes a user's membership from him as a resolution of state does.
func (c *client) taken(room *rooms.Room, now storage.Membership) {
	c.t.Helper()
	change := &storage.Change{}
	live := change.Live(storage.Live{Kind: storage.KindMembership, Room: room.NID(), User: c.caller.UserNID})
	change.Add(&storage.MembershipRow{At: storage.At{Live: live + 1}, User: c.caller.UserNID, Room: room.NID(), Membership: now})
	if err := c.db.Commit(ctx, change); err != nil {
		c.t.Fatal(err)
	}
}

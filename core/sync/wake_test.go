package sync_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Whoever waits hears of everything, whatever comes when: two waiting syncs a user, several senders, no message lost, none
// twice, order kept.
func TestNoLostWakeUps(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		room := alice.public()
		const senders, each = 4, 30
		var listeners []*client
		for i := range 6 {
			c := r.user(fmt.Sprint("listener", i/2, i))
			c.join(room)
			listeners = append(listeners, c)
		}
		var wg sync.WaitGroup
		for _, c := range listeners {
			c.next()
			c.filter = `{"room":{"timeline":{"limit":100}}}`
			wg.Go(func() { listen(t, c, room.ID(), senders*each) })
		}
		for s := range senders {
			c := r.user(fmt.Sprint("sender", s))
			c.join(room)
			wg.Go(func() {
				for i := range each {
					c.say(room, fmt.Sprintf("%d.%d", s, i))
				}
			})
		}
		wg.Wait()
	})
}

// listen follows a room by long polls until n messages have come.
func listen(t *testing.T, c *client, room matrix.RoomID, n int) {
	seen := map[string]int{}
	last := map[string]int{}
	total := 0
	for total < n {
		a := c.ask(syncing.Request{Timeout: eventually})
		if a.NextBatch == c.since {
			t.Errorf("%s was left in silence at %d of %d", c.id(), total, n)
			return
		}
		c.since = a.NextBatch
		j := a.Rooms.Join[room]
		if j == nil {
			continue
		}
		if j.Timeline.Limited {
			t.Errorf("a gap at limit 100")
			return
		}
		for _, body := range j.Timeline.bodies() {
			var s, i int
			if _, err := fmt.Sscanf(body, "%d.%d", &s, &i); err != nil {
				t.Error(err)
				return
			}
			key := fmt.Sprint(s)
			if seen[body]++; seen[body] > 1 || i != last[key] {
				t.Errorf("%s got %s when %d was due", c.id(), body, last[key])
				return
			}
			last[key] = i + 1
			total++
		}
	}
}

// Each of these wakes a waiting sync: what concerns the user but no room he is in, too.
func TestWhatWakes(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		id := alice.say(room, "x")
		bob.next()
		for name, act := range map[string]func(){
			"invite":       func() { alice.change(invite, alice.public(), bob.id()) },
			"account data": func() { bob.account(0, "x", object{}) },
			"to-device":    func() { r.toDevice(bob, "m.wake") },
			"device list":  func() { r.deviceList(alice) },
			"typing":       func() { r.type_(alice, room.ID(), true) },
			"receipt":      func() { r.receipt(alice, room.ID(), "m.read", id, "") },
			"private receipt of his own": func() {
				r.receipt(bob, room.ID(), "m.read.private", id, "")
			},
			"join": func() { bob.join(alice.public()) },
		} {
			bob.next()
			bob.next()
			done := make(chan *answer)
			go func() { done <- bob.ask(syncing.Request{Timeout: eventually}) }()
			act()
			select {
			case a := <-done:
				if len(a.raw) == 0 {
					t.Errorf("%s: empty", name)
				}
				if a.Rooms.Join == nil && a.Rooms.Invite == nil && a.Account.Events == nil && a.ToDevice.Events == nil && a.Lists.Changed == nil {
					t.Errorf("%s brought nothing: %s", name, a.raw)
				}
			case <-time.After(eventually):
				t.Fatalf("%s woke nobody", name)
			}
		}
	})
}

func (r *rig) toDevice(to *client, typ string) {
	r.t.Helper()
	change := &storage.Change{}
	live := change.Live(storage.Live{Kind: storage.KindToDevice, User: to.caller.UserNID})
	change.Add(&storage.ToDeviceRow{At: storage.At{Live: live + 1}, Device: to.caller.DeviceNID, Sender: "@x:home.example", Type: typ, Content: []byte(`{}`)})
	if err := r.db.Commit(ctx, change); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) deviceList(of *client) {
	r.t.Helper()
	change := &storage.Change{}
	live := change.Live(storage.Live{Kind: storage.KindDeviceList, User: of.caller.UserNID})
	change.Add(&storage.DeviceListRow{At: storage.At{Live: live + 1}, User: of.caller.UserNID})
	if err := r.db.Commit(ctx, change); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) type_(who *client, room matrix.RoomID, on bool) {
	r.t.Helper()
	if err := r.sync.SetTyping(ctx, &who.caller, room, on, time.Minute); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) receipt(who *client, room matrix.RoomID, typ string, id matrix.EventID, thread string) {
	r.t.Helper()
	if err := r.sync.SetReceipts(ctx, &who.caller, syncing.Receipt{Room: room, Type: typ, Event: id, Thread: thread}); err != nil {
		r.t.Fatal(err)
	}
}

// Messages to a device stay until the next token proves that they arrived, come in order and not twice, however many.
func TestToDevice(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		bob := r.user("bob")
		bob.next()
		types := func(a *answer) (out []string) {
			for _, e := range a.ToDevice.Events {
				out = append(out, e.Type)
			}
			return out
		}
		r.toDevice(bob, "one")
		if got := types(bob.ask(syncing.Request{})); !slices.Equal(got, []string{"one"}) {
			t.Fatalf("first: %v", got)
		}
		r.toDevice(bob, "two")
		if got := types(bob.next()); !slices.Equal(got, []string{"one", "two"}) {
			t.Fatalf("the same token again: %v", got)
		}
		if got := types(bob.next()); got != nil {
			t.Fatalf("after the proof: %v", got)
		}
		left, err := r.db.ListToDevice(ctx, bob.caller.DeviceNID, 0, 1<<60, 10)
		if err != nil || len(left) != 0 {
			t.Errorf("left in storage: %v %v", left, err)
		}
		var want, got []string
		for i := range 250 {
			want = append(want, fmt.Sprint("many", i))
			r.toDevice(bob, want[i])
		}
		for range 5 {
			a := bob.ask(syncing.Request{Timeout: time.Millisecond})
			bob.since = a.NextBatch
			got = append(got, types(a)...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %d of %d messages, or in another order", len(got), len(want))
		}
	})
}

// Device lists: who comes into a room is changed, who is met no more has left, and strangers are no news.
func TestDeviceLists(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, carol := r.user("alice"), r.user("bob"), r.user("carol")
		room := alice.public()
		alice.next()
		bob.join(room)
		if a := alice.next(); !slices.Equal(a.Lists.Changed, []matrix.UserID{bob.id()}) {
			t.Errorf("after a join: %+v", a.Lists)
		}
		r.deviceList(bob)
		r.deviceList(carol)
		if a := alice.next(); !slices.Equal(a.Lists.Changed, []matrix.UserID{bob.id()}) {
			t.Errorf("after new keys: %+v", a.Lists)
		}
		bob.next()
		bob.leave(room)
		if a := alice.next(); !slices.Equal(a.Lists.Left, []matrix.UserID{bob.id()}) || len(a.Lists.Changed) != 0 {
			t.Errorf("after he left: %+v", a.Lists)
		}
		if a := bob.next(); !slices.Equal(a.Lists.Left, []matrix.UserID{alice.id()}) {
			t.Errorf("after leaving: %+v", a.Lists)
		}
		r.deviceList(bob)
		if a := alice.next(); len(a.Lists.Changed) != 0 {
			t.Errorf("keys of a stranger: %+v", a.Lists)
		}
		bob.join(room)
		// His own keys are new since he last asked, too.
		if a := bob.next(); !slices.Equal(a.Lists.Changed, []matrix.UserID{alice.id(), bob.id()}) {
			t.Errorf("after joining: %+v", a.Lists)
		}
	})
}

// Who has come into a room and uploads his keys before he syncs again is heard of by those who are there: they may have asked for his
// keys between the two.
func TestDeviceListBeforeTheNextSync(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		alice.next()
		bob.next()
		bob.join(room)
		alice.next()
		r.deviceList(bob)
		if a := alice.next(); !slices.Equal(a.Lists.Changed, []matrix.UserID{bob.id()}) {
			t.Errorf("after new keys: %+v", a.Lists)
		}
		if b := bob.next(); !slices.Contains(b.Lists.Changed, bob.id()) {
			t.Errorf("his own: %+v", b.Lists)
		}
	})
}

// What changes while a user's rooms are read for the first time is told to him all the same.
func TestDeviceListWhileRoomsAreRead(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		bob := r.user("bob")
		room := bob.public()
		for i := range 100 {
			alice := r.user(fmt.Sprint("alice", i))
			alice.join(room)
			bob.next()
			alice.since = bob.since
			var changing sync.WaitGroup
			changing.Go(func() { r.deviceList(bob) })
			first := alice.next()
			changing.Wait()
			if then := alice.next(); !slices.Contains(slices.Concat(first.Lists.Changed, then.Lists.Changed), bob.id()) {
				t.Fatalf("round %d: bob's new keys were told neither at first nor then: %+v, %+v", i, first.Lists, then.Lists)
			}
		}
	})
}

// Typing and receipts: seen by members, ended, private ones by nobody else, none with a room_id.
func TestEphemeral(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		id := alice.say(room, "x")
		bob.next()
		r.type_(alice, room.ID(), true)
		users := func(a *answer) any {
			if j := a.Rooms.Join[room.ID()]; j != nil && j.Ephemeral.find("m.typing", "") != nil {
				return fmt.Sprint(j.Ephemeral.find("m.typing", "").Content["user_ids"])
			}
			return nil
		}
		if got := users(bob.ask(syncing.Request{})); got != fmt.Sprint([]any{string(alice.id())}) {
			t.Errorf("who types: %v", got)
		}
		r.type_(alice, room.ID(), false)
		if got := users(bob.next()); got != "[]" {
			t.Errorf("who types no longer: %v", got)
		}
		r.receipt(alice, room.ID(), "m.read.private", id, "")
		if a := bob.next(); a.Rooms.Join[room.ID()] != nil {
			t.Errorf("a private receipt was shown: %s", a.raw)
		}
		r.receipt(alice, room.ID(), "m.read", id, "main")
		if a := bob.next(); a.joined(room).Ephemeral.find("m.receipt", "") == nil {
			t.Errorf("no receipt: %s", a.raw)
		}
		eve := r.user("eve")
		if err := r.sync.SetTyping(ctx, &eve.caller, room.ID(), true, 0); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("typing of a stranger: %v", err)
		}
	})
}

// In a large room a receipt and typing wake nobody at once, but are not lost: they come with the next tick.
func TestLargeRoomIsCalm(t *testing.T) {
	r := newRig(t, sqliteURL(t))
	alice := r.user("alice")
	room := alice.public()
	var bob *client
	for i := range 55 {
		bob = r.user(fmt.Sprint("member", i))
		bob.join(room)
		bob.next()
	}
	id := alice.say(room, "x")
	for name, act := range map[string]func(){
		"receipt": func() { r.receipt(alice, room.ID(), "m.read", id, "") },
		"typing":  func() { r.type_(alice, room.ID(), true) },
	} {
		bob.next()
		bob.next()
		done := make(chan *answer)
		go func() { done <- bob.ask(syncing.Request{Timeout: eventually}) }()
		act()
		if a := <-done; a.Rooms.Join[room.ID()] == nil {
			t.Errorf("%s: %s", name, a.raw)
		}
	}
}

// A room that is joined while a sync begins is in that answer or in the next, never in none: the sync begins anew.
func TestJoinWhileASyncBegins(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		alice.next()
		for name, c := range map[string]struct {
			happen func()
			goesOn bool
		}{
			"nothing":      {func() {}, true},
			"account data": {func() { alice.account(0, "x", object{}) }, true},
			"a new room":   {func() { alice.public() }, false},
		} {
			if goesOn, err := r.sync.BuildAfter(ctx, &alice.caller, c.happen); err != nil || goesOn != c.goesOn {
				t.Errorf("%s: goes on %v, %v", name, goesOn, err)
			}
		}
		if n := len(alice.next().Rooms.Join); n != 1 {
			t.Errorf("%d rooms in the next answer", n)
		}
	})
}

// Who waits is answered when the service closes, whichever way he waits.
func TestClosingAnswersThoseWhoWait(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		since, slides := alice.next().NextBatch, alice.slider(object{})
		slides.next()
		slides.next()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := slides.try(5 * time.Minute); err != nil {
				t.Error(err)
			}
		})
		for range 20 {
			waiting.Go(func() {
				a, err := r.sync.Sync(ctx, &alice.caller, syncing.Request{Since: since, Timeout: 5 * time.Minute})
				if err != nil {
					t.Error(err)
					return
				}
				a.Release()
			})
		}
		for r.sync.Waiting() < 21 {
			time.Sleep(time.Millisecond)
		}
		r.sync.Close()
		waiting.Wait()
		r.sync = syncing.New(syncing.Options{DB: r.db, Rooms: r.rooms, Push: r.push, Bus: r.bus}) // for the end of the rig
	})
}

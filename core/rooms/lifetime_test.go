package rooms_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core/retention"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

const dayMS = int64(24 * time.Hour / time.Millisecond)

// calendar is a clock that a test moves.
type calendar struct{ day atomic.Int64 }

func (c *calendar) now() time.Time { return time.UnixMilli(1_700_000_000_000 + c.day.Load()*dayMS) }

// month keeps messages for thirty days unless a room asks for something else, from one day to a year.
func month(c *calendar) func(*rooms.Options) {
	return func(o *rooms.Options) {
		o.Clock = c.now
		o.Lifetimes = rooms.Lifetimes{Enabled: true, Default: 30 * dayMS, Min: dayMS, Max: 365 * dayMS}
	}
}

func retained(content string) rooms.Draft {
	return rooms.Draft{Sender: alice, Type: "m.room.retention", StateKey: new(string), Content: json.RawMessage(content)}
}

// What a room says holds within the bounds of the server; what is no policy says nothing. MSC1763
func TestLifetime(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		day := func(n int64) string { return fmt.Sprint(n * dayMS) }
		said := []struct {
			content             string
			within, ended, free int64 // days; 0: for ever
		}{
			{``, 30, 100, 0},
			{`{"max_lifetime":` + day(90) + `}`, 90, 90, 90},
			{`{"max_lifetime":` + day(900) + `}`, 365, 100, 900},
			{`{"max_lifetime":1}`, 1, 1, 1},
			{`{"max_lifetime":` + day(7) + `,"min_lifetime":` + day(7) + `}`, 7, 7, 7},
			{`{"min_lifetime":` + day(60) + `}`, 60, 100, 0},
			{`{"min_lifetime":` + day(5) + `,"max_lifetime":null}`, 30, 100, 0},
			{`{}`, 30, 100, 0},
			{`{"max_lifetime":` + day(7) + `,"min_lifetime":` + day(8) + `}`, 30, 100, 0},
			{`{"max_lifetime":-1}`, 30, 100, 0},
			{`{"max_lifetime":` + day(7) + `,"min_lifetime":-1}`, 30, 100, 0},
			{`{"max_lifetime":"` + day(7) + `"}`, 30, 100, 0},
			{`{"max_lifetime":` + day(7) + `,"min_lifetime":true}`, 30, 100, 0},
			{`{"max_lifetime":[1]}`, 30, 100, 0},
			{`{"MAX_LIFETIME":` + day(7) + `}`, 30, 100, 0},
		}
		at := make([]*rooms.Room, len(said))
		for i, one := range said {
			if at[i] = r.publicRoom(t, "11"); one.content != "" {
				r.must(t, at[i], retained(one.content))
			}
		}
		for name, l := range map[string]rooms.Lifetimes{
			"within": {Enabled: true, Default: 30 * dayMS, Min: dayMS, Max: 365 * dayMS},
			"ended":  {Enabled: true, Min: dayMS, Max: 100 * dayMS},
			"free":   {Enabled: true, Min: dayMS},
			"off":    {Default: dayMS, Min: dayMS, Max: dayMS},
		} {
			s := newRig(t, url, func(o *rooms.Options) { o.Lifetimes = l })
			for i, one := range said {
				want := map[string]int64{"within": one.within, "ended": one.ended, "free": one.free}[name]
				got, err := s.rooms.Lifetime(t.Context(), s.known(t, at[i].ID()))
				if err != nil || got != want*dayMS {
					t.Errorf("%s: %s: %d days, %v; want %d", name, one.content, got/dayMS, err, want)
				}
			}
		}
	})
}

// aged is a room in which a thread, an edit and a reaction have had their day, as has the topic of that time, and which went on since.
type aged struct {
	*rig
	*calendar
	room *rooms.Room
	old  []*rooms.Stored // root, reply, edit, reaction, redaction of the topic
	was  *rooms.Stored   // the topic, redacted
	kept *rooms.Stored
}

func newAged(t *testing.T, url string) *aged {
	t.Helper()
	a := &aged{calendar: &calendar{}}
	a.rig = newRig(t, url, month(a.calendar))
	a.account(t, alice)
	a.room = a.publicRoom(t, "11")
	a.must(t, a.room, state(alice, "m.room.name", "", object{"name": "namesake"}))
	a.was = a.must(t, a.room, state(alice, "m.room.topic", "", object{"topic": "of that time"}))[0]
	root := a.must(t, a.room, text(alice, "root of old"))[0]
	relates := func(typ, rel, body string) *rooms.Stored {
		raw, _ := json.Marshal(object{"msgtype": "m.text", "body": body, "m.new_content": object{"body": body, "msgtype": "m.text"},
			"m.relates_to": object{"rel_type": rel, "event_id": root.ID, "key": "+"}})
		return a.must(t, a.room, rooms.Draft{Sender: alice, Type: typ, Content: raw})[0]
	}
	a.old = []*rooms.Stored{root, relates("m.room.message", "m.thread", "reply of old"), relates("m.room.message", "m.replace", "edit of old"),
		relates("m.reaction", "m.annotation", "")}
	gone, err := a.rooms.Redact(t.Context(), rooms.SendRequest{Room: a.room, Sender: alice}, a.was.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	a.old = append(a.old, a.event(t, a.room, gone))
	a.day.Store(20)
	a.kept = a.must(t, a.room, text(alice, "kept"))[0]
	return a
}

// hidden checks that nobody reads any of the old events, by whatever he asks, and that the kept one is there.
func (a *aged) hidden(t *testing.T, r *rig) {
	t.Helper()
	ctx, s, room := t.Context(), r.rooms, r.known(t, a.room.ID())
	isOld := func(how string, list []*rooms.Stored) {
		t.Helper()
		for _, e := range list {
			if slices.ContainsFunc(a.old, func(o *rooms.Stored) bool { return o.ID == e.ID }) {
				t.Errorf("%s shows %s of old", how, e.Type)
			}
		}
	}
	for _, back := range []bool{true, false} {
		page, err := s.Messages(ctx, room, alice, rooms.MessagesRequest{Backward: back, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		isOld("/messages", page.Events)
		if !slices.ContainsFunc(page.Events, func(e *rooms.Stored) bool { return e.ID == a.kept.ID }) {
			t.Errorf("what is kept is not shown")
		}
	}
	around, err := s.Context(ctx, room, alice, a.kept.ID, 50, nil)
	if err != nil {
		t.Fatal(err)
	}
	isOld("/context", append(around.Before, around.After...))
	for _, o := range a.old {
		if _, err := s.Event(ctx, room, alice, o.ID); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("/event shows %s: %v", o.Type, err)
		}
		if _, err := s.Context(ctx, room, alice, o.ID, 5, nil); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("/context of %s: %v", o.Type, err)
		}
		if _, err := s.Relations(ctx, room, alice, rooms.RelationsRequest{Parent: o.ID}); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("/relations of %s: %v", o.Type, err)
		}
	}
	roots, _, err := s.Threads(ctx, room, r.caller(t, alice), rooms.ThreadsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	isOld("/threads", roots)
	near, err := s.EventNear(ctx, room, alice, a.old[0].OriginServerTS, false)
	if err != nil {
		t.Fatal(err)
	}
	isOld("/timestamp_to_event", []*rooms.Stored{near})
	if n := r.finds(t, room, "old"); n > 0 {
		t.Errorf("a search finds %d of old", n)
	}
	// The state of that time stays, redacted as it was, though what redacted it has gone.
	was, err := s.EventByID(ctx, room, a.was.ID)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.RenderOne(ctx, room, r.caller(t, alice), was)
	if topic, _ := matrix.LookupText(was.Content, "topic"); err != nil || topic != "" || was.RedactedBy == nil {
		t.Errorf("the topic of old: %s, %v", raw, err)
	}
}

// finds counts what alice finds in a room by a word.
func (r *rig) finds(t *testing.T, room *rooms.Room, word string) int {
	t.Helper()
	m, err := r.db.FindMembership(t.Context(), r.caller(t, alice).UserNID, room.NID())
	if err != nil {
		t.Fatal(err)
	}
	found, err := r.db.Search(t.Context(), storage.SearchQuery{Rooms: []int64{room.NID()}, Words: []string{word}, Before: 1 << 62, Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	hits, err := r.rooms.Hits(t.Context(), found)
	if err == nil {
		hits, err = r.rooms.SeenHits(t.Context(), alice, map[int64]storage.MembershipRow{room.NID(): m}, hits)
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(hits)
}

// left counts how many of the old events are still stored.
func (a *aged) left(t *testing.T, r *rig) (n int) {
	t.Helper()
	for _, o := range a.old {
		_, err := r.db.FindEvent(t.Context(), a.room.NID(), o.ID)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		if err == nil {
			n++
		}
	}
	return n
}

func (a *aged) expire(t *testing.T, r *rig, want int) {
	t.Helper()
	if n, err := r.rooms.ExpireMessages(t.Context()); err != nil || n != want {
		t.Errorf("%d messages went, %v; want %d", n, err, want)
	}
}

// What has had its day is hidden at once, goes at the next tick with all that hangs on it, and the room goes on: here, after a restart, with
// somebody new.
func TestMessagesHaveTheirDay(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		a := newAged(t, url)
		a.day.Store(29)
		a.expire(t, a.rig, 0)
		if seen, err := a.rooms.Event(t.Context(), a.room, alice, a.old[0].ID); err != nil || seen.ID != a.old[0].ID {
			t.Errorf("a day before: %v", err)
		}
		a.day.Store(31)
		a.hidden(t, a.rig)
		if n := a.finds(t, a.room, "namesake"); n != 1 { // state stays
			t.Errorf("a search finds the room's name %d times", n)
		}
		if n := a.left(t, a.rig); n != len(a.old) {
			t.Errorf("%d are stored before the tick, want all", n)
		}
		a.expire(t, a.rig, len(a.old))
		a.hidden(t, a.rig)
		if n := a.left(t, a.rig); n != 0 {
			t.Errorf("%d are stored after the tick", n)
		}
		if found, err := a.db.Search(t.Context(), storage.SearchQuery{Rooms: []int64{a.room.NID()}, Words: []string{"old"}, Before: 1 << 62, Limit: 50}); err != nil || len(found) > 0 {
			t.Errorf("the index of words has %d of them, %v", len(found), err)
		}
		if list, err := a.db.ListRelations(t.Context(), storage.RelationQuery{Room: a.room.NID(), Target: matrix.HashID(a.old[0].ID), After: -1,
			Upto: a.db.Position(), Limit: 9}); err != nil || len(list) > 0 {
			t.Errorf("%d relate to what has gone, %v", len(list), err)
		}
		a.expire(t, a.rig, 0)
		jobs, err := a.db.ListDueJobs(t.Context(), rooms.FoldJob, 1<<60, 9)
		if err != nil || len(jobs) != 1 {
			t.Fatalf("%d jobs to fold, %v; want 1", len(jobs), err)
		}
		var f rooms.Folding
		if err := json.Unmarshal(jobs[0].Body, &f); err != nil {
			t.Fatal(err)
		}
		for _, f.Second = range []bool{false, true} {
			if err := a.rooms.Fold(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range []*rig{a.rig, newRig(t, url, month(a.calendar))} {
			a.hidden(t, r)
			room := r.known(t, a.room.ID())
			new := matrix.UserID(fmt.Sprintf("@new%d:home.example", r.db.Position()))
			r.must(t, room, state(new, "m.room.member", string(new), object{"membership": "join"}))
			r.must(t, room, text(new, "hello"))
			if got := r.reads(t, room, new); got != "kept hello" && got != "kept hello hello" {
				t.Errorf("who is new reads %q", got)
			}
		}
	})
}

// The newest event stays for the next one to refer to, and is hidden all the same; once it is not the newest it goes.
func TestTheNewestEventStays(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		a := newAged(t, url)
		a.day.Store(100)
		a.expire(t, a.rig, len(a.old))
		if got := a.reads(t, a.room, alice); got != "" {
			t.Errorf("the room reads %q", got)
		}
		r := newRig(t, url, month(a.calendar))
		room := r.known(t, a.room.ID())
		if next := r.must(t, room, text(alice, "next"))[0]; !slices.Equal(next.PrevEvents, []matrix.EventID{a.kept.ID}) {
			t.Errorf("the next event refers to %v", next.PrevEvents)
		}
		a.expire(t, r, 1)
		if got := r.reads(t, room, alice); got != "next" {
			t.Errorf("the room reads %q", got)
		}
		r.must(t, room, text(alice, "and on"))
	})
}

// The present policy holds for all that was said before it; what another policy hid is shown again unless it has gone.
func TestALifetimeChanges(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		a := newAged(t, url)
		a.day.Store(31)
		set := func(r *rig, days int64) {
			t.Helper()
			r.must(t, r.known(t, a.room.ID()), retained(fmt.Sprintf(`{"max_lifetime":%d}`, days*dayMS)))
		}
		all := "root of old reply of old edit of old kept"
		other := newRig(t, url, month(a.calendar))
		for _, step := range []struct {
			days int64
			want string
		}{{100, all}, {30, "kept"}, {200, all}, {5, ""}, {300, all}} {
			set(a.rig, step.days)
			if got := a.reads(t, a.room, alice); got != step.want {
				t.Errorf("%d days: %q, want %q", step.days, got, step.want)
			}
			again := newRig(t, url, month(a.calendar))
			if got := again.reads(t, again.known(t, a.room.ID()), alice); got != step.want {
				t.Errorf("%d days, another process: %q, want %q", step.days, got, step.want)
			}
		}
		a.expire(t, other, 0)
		e := a.must(t, a.room, retained(fmt.Sprintf(`{"max_lifetime":%d}`, dayMS)))[0]
		if got := a.reads(t, a.room, alice); got != "" {
			t.Errorf("a policy of a day: %q", got)
		}
		if _, err := a.rooms.Redact(t.Context(), rooms.SendRequest{Room: a.room, Sender: alice}, e.ID, ""); err != nil {
			t.Fatal(err)
		}
		if got := a.reads(t, a.room, alice); got != "kept" { // a policy that was redacted says nothing
			t.Errorf("a redacted policy: %q", got)
		}
		set(a.rig, 5)
		a.expire(t, newRig(t, url, month(a.calendar)), len(a.old)+1)
		set(a.rig, 300)
		if got := a.reads(t, a.room, alice); got != "" {
			t.Errorf("what has gone comes back: %q", got)
		}
	})
}

// A message that comes late, with a time that is long past, is hidden and goes at the next tick; so does history from another server, and
// messages of other rooms stay.
func TestMessagesThatComeLate(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		a := newAged(t, url)
		for range 250 { // more than a piece
			a.must(t, a.room, text(alice, "many"))
		}
		forever := a.publicRoom(t, "11")
		a.must(t, forever, retained(fmt.Sprintf(`{"max_lifetime":%d}`, 365*dayMS)), text(alice, "stays"))
		a.day.Store(60)
		last := a.must(t, a.room, text(alice, "last"))[0]
		m := a.remote(t, a.room)
		late := m.on(last.After(), rooms.Draft{Sender: alice, Type: "m.room.message", Content: json.RawMessage(`{"body":"late","msgtype":"m.text"}`),
			OriginTS: a.old[0].OriginServerTS}, last.Event)
		got := m.accept(late)
		a.must(t, a.room, text(alice, "on"))
		if got := a.reads(t, a.room, alice); got != "last on" {
			t.Errorf("the room reads %q", got)
		}
		a.expire(t, a.rig, len(a.old)+1+250+1)
		if _, err := a.db.FindEvent(t.Context(), a.room.NID(), got.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("what came late is still stored: %v", err)
		}
		if got := a.reads(t, forever, alice); got != "stays" {
			t.Errorf("the other room reads %q", got)
		}
	})
}

// Another node hides what has had its day while it still has it in memory, and goes on when the first has deleted it.
func TestTheDayOfMessagesOnTwoNodes(t *testing.T) {
	c := &calendar{}
	one, two := nodesWith(t, month(c))
	room := one.publicRoom(t, "11")
	there := two.known(t, room.ID())
	old := one.must(t, room, text(alice, "old"), text(alice, "old too"))
	c.day.Store(20)
	one.must(t, room, text(alice, "kept"))
	await(t, func() bool { return two.reads(t, there, alice) == "old old too kept" })
	two.event(t, there, old[0].ID)
	c.day.Store(31)
	if got := two.reads(t, there, alice); got != "kept" {
		t.Errorf("the other node shows %q", got)
	}
	if n, err := one.rooms.ExpireMessages(t.Context()); err != nil || n != 2 {
		t.Fatalf("%d went, %v", n, err)
	}
	two.must(t, there, text(alice, "from there"), retained(fmt.Sprintf(`{"max_lifetime":%d}`, 300*dayMS)))
	// What a node writes it hears of after all that was written before.
	if _, err := two.rooms.Event(t.Context(), there, alice, old[0].ID); !matrix.HasCode(err, matrix.CodeNotFound) {
		t.Errorf("the other node still has what has gone: %v", err)
	}
	two.must(t, there, retained(fmt.Sprintf(`{"max_lifetime":%d}`, 5*dayMS)))
	await(t, func() bool { return one.reads(t, room, alice) == "from there" })
}

// await reads until something is so; the test's own deadline ends a wait in vain.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for !so() {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// Other servers are not given what has had its day: it is left out of history, and stands in a gap as a redaction would leave it.
func TestOtherServersAreNotGivenWhatHasHadItsDay(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := &calendar{}
		w := &wire{}
		a := w.serverWith(t, home, url, month(c))
		d := w.server(t, there, sqliteURL(t))
		a.account(t, alice)
		d.account(t, dora)
		room := a.publicRoom(t, "11")
		old := a.messages(t, room, alice, 3)
		c.day.Store(31)
		first := a.must(t, room, text(alice, "first kept"))[0]
		d.enters(t, rooms.Entry{Room: room.ID(), User: dora, Via: []matrix.ServerName{home}})
		if got := d.page(t, room.ID(), dora, 50); !slices.Contains(got, "first kept") || slices.Contains(got, "message 0") {
			t.Errorf("who is new elsewhere reads %q", got)
		}
		bare := func(how string, e *matrix.Event, err error) {
			t.Helper()
			if body, _ := matrix.LookupText(e.Content, "body"); err != nil || body != "" {
				t.Errorf("%s gives %q, %v", how, body, err)
			}
		}
		e, err := a.rooms.ServeEvent(t.Context(), there, old[0].ID)
		bare("/event", e, err)
		gap, err := a.rooms.ServeMissing(t.Context(), there, room.ID(), []matrix.EventID{old[0].ID}, []matrix.EventID{first.ID}, 10, 0)
		if err != nil || len(gap) != 2 {
			t.Fatalf("a gap of %d, %v", len(gap), err)
		}
		for _, e := range gap {
			bare("/get_missing_events", e, nil)
		}
		back, err := a.rooms.ServeBackfill(t.Context(), there, room.ID(), []matrix.EventID{first.ID}, 50)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range back {
			if e.Type == "m.room.message" && e.ID != first.ID {
				t.Errorf("/backfill gives %s of old", e.ID)
			}
		}
		if e, err := a.rooms.ServeNear(t.Context(), there, room.ID(), old[0].OriginServerTS, false); err != nil || slices.ContainsFunc(old, func(o *rooms.Stored) bool { return o.ID == e.ID }) {
			t.Errorf("/timestamp_to_event names %v, %v", e, err)
		}
		// The state at such an event is told: the room holds together by it.
		if _, _, err := a.rooms.ServeState(t.Context(), there, room.ID(), old[0].ID); err != nil {
			t.Errorf("the state at an event of old: %v", err)
		}
		if n, err := a.rooms.ExpireMessages(t.Context()); err != nil || n != 3 {
			t.Errorf("%d went, %v", n, err)
		}
		far := d.known(t, room.ID())
		said := d.must(t, far, text(dora, "from elsewhere"))[0]
		inbox := a.inboxOf(t)
		if _, err := inbox.Take(t.Context(), there, []json.RawMessage{json.RawMessage(said.JSON)}); err != nil {
			t.Fatal(err)
		}
		a.waitFor(t, inbox, room.ID(), said.ID)
		if got := a.reads(t, room, alice); got != "first kept from elsewhere" {
			t.Errorf("the room reads %q", got)
		}
	})
}

// History that another server still has does not come back with those who read on into the past.
func TestWhatHasHadItsDayIsNotAskedFor(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := &calendar{}
		w := &wire{}
		a := w.serverWith(t, home, url, month(c))
		d := w.serverWith(t, there, sqliteURL(t), func(o *rooms.Options) { o.Clock = c.now })
		a.account(t, alice)
		d.account(t, dora)
		far, err := d.rooms.Create(t.Context(), d.caller(t, dora), &rooms.CreateRequest{Preset: "public_chat"})
		if err != nil {
			t.Fatal(err)
		}
		d.messages(t, far, dora, 3)
		c.day.Store(31)
		d.must(t, far, text(dora, "kept"))
		a.enters(t, rooms.Entry{Room: far.ID(), User: alice, Via: []matrix.ServerName{there}})
		room := a.known(t, far.ID())
		if got := a.page(t, room.ID(), alice, 50); !slices.Contains(got, "kept") || slices.Contains(got, "message 0") {
			t.Errorf("the room reads %q", got)
		}
		if n, err := a.rooms.ExpireMessages(t.Context()); err != nil || n != 0 {
			t.Errorf("%d of them were taken in, %v", n, err)
		}
	})
}

// The tick of the background work deletes what has had its day, on one of the nodes, and comes again.
func TestTheTickDeletesMessages(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		a := newAged(t, url)
		other := newRig(t, url, month(a.calendar))
		var ticks [2]*retention.Service
		for i, r := range []*rig{a.rig, other} {
			s, err := retention.New(t.Context(), retention.Options{DB: r.db, Rooms: r.rooms, Clock: a.now})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ticks[i] = s
		}
		tick := func(day int64, left int) {
			t.Helper()
			a.day.Store(day)
			var both sync.WaitGroup
			for _, s := range ticks {
				both.Go(func() {
					if err := s.Due(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			if n := a.left(t, other); n != left {
				t.Errorf("day %d: %d of old are stored, want %d", day, n, left)
			}
		}
		tick(29, len(a.old))
		tick(31, 0)
		a.hidden(t, other)
		if got := a.reads(t, a.room, alice); got != "kept" {
			t.Errorf("the room reads %q", got)
		}
		a.must(t, a.room, text(alice, "on"))
		tick(32, 0) // folds
		tick(51, 0)
		if got := a.reads(t, a.room, alice); got != "on" {
			t.Errorf("the room reads %q", got)
		}
		if _, err := a.db.FindEvent(t.Context(), a.room.NID(), a.kept.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("what was kept once is still stored: %v", err)
		}
	})
}

// History that was fetched from another server has its day as what was said here.
func TestHistoryHasItsDay(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := &calendar{}
		w := &wire{}
		clock := func(o *rooms.Options) { o.Clock = c.now }
		a, d := w.serverWith(t, home, url, clock), w.serverWith(t, there, sqliteURL(t), clock)
		a.account(t, alice)
		d.account(t, dora)
		far, err := d.rooms.Create(t.Context(), d.caller(t, dora), &rooms.CreateRequest{Preset: "public_chat"})
		if err != nil {
			t.Fatal(err)
		}
		said := d.messages(t, far, dora, 230) // more than two pieces
		c.day.Store(31)
		d.must(t, far, text(dora, "kept"))
		a.enters(t, rooms.Entry{Room: far.ID(), User: alice, Via: []matrix.ServerName{there}})
		if got := a.page(t, far.ID(), alice, 500); !slices.Contains(got, "message 0") || !slices.Contains(got, "kept") {
			t.Fatalf("the room reads %q", got)
		}
		r := newRig(t, url, month(c))
		if got := r.page(t, far.ID(), alice, 500); slices.Contains(got, "message 0") || !slices.Contains(got, "kept") {
			t.Errorf("the room reads %q", got)
		}
		if n, err := r.rooms.ExpireMessages(t.Context()); err != nil || n != len(said) {
			t.Errorf("%d of %d went, %v", n, len(said), err)
		}
		for _, e := range said {
			if _, err := r.db.FindEvent(t.Context(), far.NID(), e.ID); !errors.Is(err, storage.ErrNotFound) {
				t.Fatalf("%s is still stored: %v", e.ID, err)
			}
		}
		if got := r.page(t, far.ID(), alice, 500); !slices.Contains(got, "kept") {
			t.Errorf("the room reads %q", got)
		}
	})
}

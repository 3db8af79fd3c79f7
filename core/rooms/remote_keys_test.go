package rooms_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
)

const (
	third = matrix.ServerName("third.example")
	carl  = matrix.UserID("@carl:third.example")
)

// lockedWire is a wire on which the keys of one server cannot be had: it is silent, or what it answers holds none.
type lockedWire struct {
	*wire
	mu     sync.Mutex
	silent bool
	bare   bool
	asked  int
	hangs  chan struct{} // the third question and those after it wait for this
}

func (l *lockedWire) set(silent, bare bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent, l.bare = silent, bare
}

// VerifyEvents says of events of that server what the test wants.
func (l *lockedWire) VerifyEvents(ctx context.Context, events []*matrix.Event) []error {
	out := l.wire.VerifyEvents(ctx, events)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range events {
		if e.Sender.Server() != third {
			continue
		}
		if l.asked++; l.asked > 2 && l.hangs != nil {
			l.mu.Unlock()
			<-l.hangs
			l.mu.Lock()
		}
		switch refusal := matrix.Unauthorized("no key of " + string(third)); {
		case l.silent:
			out[i] = refusal.Wrap(errors.Join(core.ErrUnreached, context.DeadlineExceeded))
		case l.bare:
			out[i] = refusal
		}
	}
	return out
}

// waitAsked waits until keys were asked for more often than that.
func (l *lockedWire) waitAsked(ctx context.Context, than int) int {
	for {
		l.mu.Lock()
		n := l.asked
		l.mu.Unlock()
		if n > than || ctx.Err() != nil {
			return n
		}
		runtime.Gosched()
	}
}

// lockedRoom is a room of alice's server in which dora's is too, with what alice's says there. The keys of carl's server do not reach dora's.
type lockedRoom struct {
	*lockedWire
	dora *rig
	room matrix.RoomID
	// Said before carl came, that he came, and two messages after that.
	before, join, after, later *rooms.Stored
}

// lockedServers makes such a room; dora's server has a database.
func lockedServers(t *testing.T, url string) *lockedRoom {
	t.Helper()
	l := &lockedWire{wire: &wire{}}
	a := l.server(t, home, sqliteURL(t))
	a.account(t, alice)
	d := l.serverBehind(t, there, url, l)
	d.account(t, dora)
	c := l.server(t, third, sqliteURL(t))
	c.account(t, carl)
	r := a.publicRoom(t, "11")
	d.enters(t, rooms.Entry{Room: r.ID(), User: dora, Via: []matrix.ServerName{home}})
	before := a.messages(t, r, alice, 1)[0]
	c.enters(t, rooms.Entry{Room: r.ID(), User: carl, Via: []matrix.ServerName{home}})
	join := a.event(t, r, a.stateOf(t, r.ID())[matrix.StateTuple{Type: "m.room.member", Key: string(carl)}])
	said := a.messages(t, r, alice, 2)
	l.set(true, false)
	return &lockedRoom{lockedWire: l, dora: d, room: r.ID(), before: before, join: join, after: said[0], later: said[1]}
}

// arrives waits until an event has a place in the room at dora's server.
func (l *lockedRoom) arrives(ctx context.Context, t *testing.T, e *rooms.Stored) {
	t.Helper()
	l.dora.has(ctx, t, l.room, e)
}

// take hands events to an inbox, which must not refuse any.
func take(t *testing.T, inbox *rooms.Inbox, events ...*rooms.Stored) {
	t.Helper()
	results, err := inbox.Take(t.Context(), home, raws(events))
	if err != nil {
		t.Fatal(err)
	}
	for id, err := range results {
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// has waits until an event has a place in a room.
func (r *rig) has(ctx context.Context, t *testing.T, room matrix.RoomID, e *rooms.Stored) {
	t.Helper()
	for {
		got, err := r.rooms.EventByID(ctx, r.known(t, room), e.ID)
		if err == nil && got.Before().Known() {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s did not arrive: %v", e.ID, err)
		}
		runtime.Gosched()
	}
}

// An event whose sender's server does not answer when it is asked for its keys waits, also over a restart, as does what follows it; others pass it.
func TestEventsWaitForKeys(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l := lockedServers(t, url)
		first := l.dora.inboxOf(t)
		take(t, first, l.join, l.after)
		n := l.waitAsked(ctx, 1)
		take(t, first, l.before)
		l.arrives(ctx, t, l.before)
		first.Close()
		second := l.dora.inboxOf(t)
		l.waitAsked(ctx, n)
		if _, err := l.dora.rooms.EventByID(ctx, l.dora.known(t, l.room), l.join.ID); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("an event that nobody could check: %v", err)
		}
		l.set(false, false)
		l.arrives(ctx, t, l.join)
		l.arrives(ctx, t, l.after)
		second.Wait()
		if lanes, err := l.dora.db.ListInboxLanes(ctx); err != nil || len(lanes) > 0 {
			t.Errorf("what came in waits still: %v %v", lanes, err)
		}
	})
}

// While a server is asked that takes its time, what others say comes in.
func TestNobodyWaitsWhileKeysAreAskedFor(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := lockedServers(t, sqliteURL(t))
	l.hangs = make(chan struct{})
	defer close(l.hangs)
	inbox := l.dora.inboxOf(t)
	take(t, inbox, l.join)
	l.waitAsked(ctx, 2)
	take(t, inbox, l.before)
	l.arrives(ctx, t, l.before)
	l.set(false, false)
}

// What an event refers to may be what cannot be checked now: then the event waits.
func TestEventsWaitForKeysOfWhatTheyReferTo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := lockedServers(t, sqliteURL(t))
	inbox := l.dora.inboxOf(t)
	take(t, inbox, l.after)
	l.waitAsked(ctx, 1)
	l.set(false, false)
	l.arrives(ctx, t, l.join)
	l.arrives(ctx, t, l.after)
}

// The room goes on while a server does not answer, and when it answers without the key its event is refused as any that is not signed.
func TestNobodyWaitsForKeysForEver(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := lockedServers(t, sqliteURL(t))
	inbox := l.dora.inboxOf(t)
	take(t, inbox, l.join)
	take(t, inbox, l.later)
	l.arrives(ctx, t, l.later)
	l.set(false, true)
	inbox.Wait()
	results, err := inbox.Take(ctx, home, raws([]*rooms.Stored{l.join}))
	if err != nil || results[l.join.ID] == nil {
		t.Errorf("an event without a key: %v %v", results, err)
	}
	if lanes, err := l.dora.db.ListInboxLanes(ctx); err != nil || len(lanes) > 0 {
		t.Errorf("waits: %v %v", lanes, err)
	}
	if _, in := l.dora.stateOf(t, l.room)[matrix.StateTuple{Type: "m.room.member", Key: string(carl)}]; in {
		t.Error("an event without a key is in the room")
	}
}

// Of what one server says in the name of another that does not answer no more is held than a bound.
func TestFewEventsWaitForKeys(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := lockedServers(t, sqliteURL(t))
	inbox := l.dora.inboxOf(t)
	var forged []json.RawMessage
	for i := range 80 {
		e, err := l.join.Version.Build(matrix.Proto{RoomID: l.room, Sender: carl, Type: "m.room.message", Content: []byte(fmt.Sprintf(`{"body":"%d"}`, i)),
			PrevEvents: []matrix.EventID{l.join.ID}, AuthEvents: l.join.AuthEvents, Depth: 9, OriginServerTS: 1}, l.keys[third])
		if err != nil {
			t.Fatal(err)
		}
		forged = append(forged, e.JSON)
	}
	for some := range slices.Chunk(forged, 40) {
		if _, err := inbox.Take(ctx, home, some); err != nil {
			t.Fatal(err)
		}
	}
	take(t, inbox, l.before)
	l.arrives(ctx, t, l.before)
	for {
		lanes, err := l.dora.db.ListInboxLanes(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(lanes) == 1 && lanes[0].Count == 50 {
			return
		}
		runtime.Gosched()
	}
}

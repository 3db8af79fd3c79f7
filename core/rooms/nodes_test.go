package rooms_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// nodes are two processes on one database, of which each hears what the other tells besides what it writes.
func nodes(t testing.TB) (one, two *rig) {
	t.Helper()
	return nodesWith(t, func(*rooms.Options) {})
}

// nodesWith are such nodes with options of their own.
func nodesWith(t testing.TB, change func(*rooms.Options)) (one, two *rig) {
	t.Helper()
	url := pgtest.New(t)
	var rigs [2]*rig
	for i := range rigs {
		signals := bus.New[[]byte]()
		rigs[i] = newRigOn(t, storage.Options{URL: url, Signal: signals.Publish}, func(o *rooms.Options) {
			o.Signals = signals
			change(o)
		})
	}
	return rigs[0], rigs[1]
}

// roomOnNodes are two nodes, and a room as each of them has it.
func roomOnNodes(t *testing.T, version string) (one, two *rig, room, there *rooms.Room) {
	t.Helper()
	one, two = nodes(t)
	room = one.publicRoom(t, version)
	there, err := two.rooms.Room(t.Context(), room.ID())
	if err != nil {
		t.Fatal(err)
	}
	return one, two, room, there
}

// A state event passes however much another node writes into the room; nothing of either is lost.
func TestStateAmongMessagesOfAnotherNode(t *testing.T) {
	one, two, room, there := roomOnNodes(t, "11")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var senders sync.WaitGroup
	var sent [6]int
	for i := range sent {
		senders.Go(func() {
			for ctx.Err() == nil {
				if _, err := two.send(context.WithoutCancel(ctx), there, text(alice, fmt.Sprint(i, " ", sent[i]))); err != nil {
					t.Errorf("message: %v", err)
					return
				}
				sent[i]++
			}
		})
	}
	for i := range 12 {
		_, err := one.send(t.Context(), room, state(alice, "m.room.topic", "", object{"topic": fmt.Sprint(i)}))
		if err != nil {
			t.Errorf("state event %d: %v", i, err)
			break
		}
	}
	stop()
	senders.Wait()
	total := 0
	for _, n := range sent {
		total += n
	}
	if total == 0 {
		t.Error("the messages were starved")
	}
	t.Logf("%d messages beside 12 state events", total)
	for _, r := range []*rig{one, two} {
		for topic := ""; topic != `{"topic":"11"}`; { // word of it may be on its way; the test's own deadline ends a wait in vain
			e, err := r.topic(t, room.ID())
			if err != nil {
				t.Fatal(err)
			}
			topic = string(e.Content)
		}
	}
}

func (r *rig) topic(t *testing.T, id matrix.RoomID) (*matrix.Event, error) {
	t.Helper()
	room, err := r.rooms.Room(t.Context(), id)
	if err != nil {
		return nil, err
	}
	view, err := r.rooms.Current(t.Context(), room)
	if err != nil {
		return nil, err
	}
	return view.Get(t.Context(), matrix.StateTuple{Type: "m.room.topic"})
}

// A write that loses to another node each time it is built gets its turn, and so do those that it lost to.
func TestTurnOfWhoAlwaysLoses(t *testing.T) {
	topic := func(i int) rooms.Draft {
		return state(alice, "m.room.topic", "", object{"topic": fmt.Sprint(i)})
	}
	message := func(i int) rooms.Draft { return text(alice, fmt.Sprint(i)) }
	for name, drafts := range map[string][2]func(int) rooms.Draft{
		"state among messages": {topic, message},
		"message among state":  {message, topic},
	} {
		t.Run(name, func(t *testing.T) {
			one, two, room, there := roomOnNodes(t, "11")
			two.must(t, there, text(alice, "the room is in memory"))
			var others sync.WaitGroup
			built := 0
			_, err := one.rooms.Compose(t.Context(), room, func(*rooms.View) ([]rooms.Draft, error) {
				built++
				var sent atomic.Bool
				n := built
				others.Go(func() {
					defer sent.Store(true)
					if _, err := two.send(t.Context(), there, drafts[1](n)); err != nil {
						t.Errorf("what it lost to: %v", err)
					}
				})
				for !sent.Load() && !there.Yields() { // it loses, unless the other one waits
					runtime.Gosched()
				}
				return []rooms.Draft{drafts[0](0)}, nil
			})
			if err != nil {
				t.Errorf("built %d times: %v", built, err)
			}
			others.Wait()
		})
	}
}

// Messages pass however much state another node writes, and the other goes on too.
func TestMessagesAmongStateOfAnotherNode(t *testing.T) {
	one, two, room, there := roomOnNodes(t, "11")
	ctx, stop := context.WithCancel(t.Context())
	var writers, senders sync.WaitGroup
	var states atomic.Int64
	for i := range 3 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				topic := state(alice, "m.room.topic", "", object{"topic": fmt.Sprint(i, " ", n)})
				if _, err := one.send(context.WithoutCancel(ctx), room, topic); err != nil {
					t.Errorf("state event: %v", err)
					return
				}
				states.Add(1)
			}
		})
	}
	var rounds atomic.Int64
	for sender := range 4 {
		senders.Go(func() {
			// Until the state goes on too, which it never would were it starved: the test's own deadline ends that.
			for sendMany(t, two, there, sender, 25); states.Load() < 10 && !t.Failed(); rounds.Add(1) {
				sendMany(t, two, there, sender, 1)
			}
		})
	}
	senders.Wait()
	stop()
	writers.Wait()
	t.Logf("%d state events beside %d messages", states.Load(), 100+rounds.Load())
}

// Who has joined by one node may send by another at once.
func TestSendWhereTheJoinIsNotHeardOf(t *testing.T) {
	one, two, room, there := roomOnNodes(t, "12")
	two.must(t, there, text(alice, "the room is in memory"))
	for i := range 40 {
		user := matrix.UserID(fmt.Sprintf("@user%d:home.example", i))
		one.must(t, room, state(user, "m.room.member", string(user), object{"membership": "join"}))
		if _, err := two.send(t.Context(), there, text(user, "here I am")); err != nil {
			t.Fatalf("user %d: %v", i, err)
		}
	}
}

// Messages that two nodes send into one room at the same time are all there; those of one node are built one on another
// also while the other writes.
func TestMessagesOfTwoNodes(t *testing.T) {
	one, two := nodes(t)
	room := one.publicRoom(t, "12")
	var all sync.WaitGroup
	for _, r := range []*rig{one, two} {
		here, err := r.rooms.Room(t.Context(), room.ID())
		if err != nil {
			t.Fatal(err)
		}
		for sender := range 8 {
			all.Go(func() { sendMany(t, r, here, sender, 12) })
		}
	}
	all.Wait()
	for _, r := range []*rig{one, two} {
		r.must(t, room, text(alice, "last"))
		page, err := r.rooms.Messages(t.Context(), room, alice, rooms.MessagesRequest{Limit: 400, Backward: true})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, e := range page.Events {
			seen[string(e.ID)] = true
		}
		if len(seen) < 16*12 {
			t.Errorf("%d of %d events", len(seen), 16*12)
		}
	}
}

package sync_test

import (
	"fmt"
	"testing"
	"time"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
)

// rooms100 makes a user who is in 100 rooms of 10 members each, with some messages.
func rooms100(b *testing.B) (*rig, *client, []*rooms.Room) {
	b.Helper()
	r := newRig(b, sqliteURL(b))
	alice := r.user("alice")
	var others []*client
	for i := range 9 {
		others = append(others, r.user(fmt.Sprint("u", i)))
	}
	var list []*rooms.Room
	for i := range 100 {
		room := others[0].create(&rooms.CreateRequest{Preset: "public_chat", Name: fmt.Sprint("Room ", i)})
		for _, c := range others[1:] {
			c.join(room)
		}
		alice.join(room)
		for n := range 20 {
			others[n%9].say(room, "some words")
		}
		list = append(list, room)
	}
	return r, alice, list
}

func (c *client) drain(b *testing.B, q syncing.Request) {
	b.Helper()
	a, err := c.sync.Sync(ctx, &c.caller, q)
	if err != nil {
		b.Fatal(err)
	}
	a.Release()
}

func BenchmarkFirstSync100Rooms(b *testing.B) {
	_, alice, _ := rooms100(b)
	for b.Loop() {
		alice.drain(b, syncing.Request{})
	}
}

func BenchmarkQuietSync100Rooms(b *testing.B) {
	_, alice, _ := rooms100(b)
	q := syncing.Request{Since: alice.next().NextBatch}
	for b.Loop() {
		alice.drain(b, q)
	}
}

func BenchmarkIncrementalSync100Rooms(b *testing.B) {
	_, alice, list := rooms100(b)
	bob := &client{rig: alice.rig, caller: alice.caller}
	q := syncing.Request{Since: alice.next().NextBatch}
	bob.caller.DeviceNID = 0
	bob.say(list[7], "new")
	for b.Loop() {
		alice.drain(b, q)
	}
}

// One message to a hundred who wait: cost of a delivery without HTTP.
func BenchmarkDelivery100Waiting(b *testing.B) {
	r := newRig(b, sqliteURL(b))
	a := r.audience(b)
	for b.Loop() {
		a.say("some words that are as long as usual")
	}
	a.leave()
}

// audience is a room in which a hundred wait for what alice says.
type audience struct {
	alice *client
	room  *rooms.Room
	got   chan struct{}
	stop  chan struct{}
}

const listeners = 100

func (r *rig) audience(b *testing.B) *audience {
	alice := r.user("alice")
	a := &audience{alice: alice, room: alice.public(), got: make(chan struct{}, listeners), stop: make(chan struct{})}
	for i := range listeners {
		c := r.user(fmt.Sprint("u", i))
		c.caller.Session = int64(i + 1)
		c.join(a.room)
		c.since = c.next().NextBatch
		go c.listen100(b, a)
	}
	for range listeners {
		select { // who joined last was news to those before
		case <-a.got:
		case <-time.After(time.Second / 4):
		}
	}
	return a
}

func (c *client) listen100(b *testing.B, a *audience) {
	for {
		answer, err := c.sync.Sync(ctx, &c.caller, syncing.Request{Since: c.since, Timeout: time.Minute})
		if err != nil {
			b.Error(err)
			return
		}
		c.since = nextBatch(answer.Bytes())
		answer.Release()
		select {
		case a.got <- struct{}{}:
		case <-a.stop:
			return
		}
	}
}

// say returns when everybody has it.
func (a *audience) say(body string) {
	a.alice.say(a.room, body)
	for range listeners {
		<-a.got
	}
}

func (a *audience) leave() { close(a.stop) }

func nextBatch(answer []byte) string {
	var a struct {
		Next string `json:"next_batch"`
	}
	_ = unmarshal(answer, &a)
	return a.Next
}

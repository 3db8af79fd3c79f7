package sync_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/testkit/cputime"
	"rempart/internal/testkit/pgtest"
)

// elementState is about what Element X asks for of every room.
var elementState = [][]string{{"m.room.name", ""}, {"m.room.encryption", ""}, {"m.room.member", "$LAZY"}, {"m.room.member", "$ME"},
	{"m.room.topic", ""}, {"m.room.avatar", ""}, {"m.room.canonical_alias", ""}, {"m.room.power_levels", ""},
	{"org.matrix.msc3401.call.member", "*"}, {"m.room.join_rules", ""}, {"m.room.tombstone", ""}, {"m.room.create", ""},
	{"m.room.history_visibility", ""}, {"io.element.functional_members", ""}, {"m.space.parent", "*"}, {"m.space.child", "*"}}

const benchRooms = 10_000

// rooms10000 makes a user who is in ten thousand rooms.
func rooms10000(b *testing.B, url string) (*rig, *client, *client, []*rooms.Room) {
	b.Helper()
	r := newRig(b, url)
	alice, bob := r.user("alice"), r.user("bob")
	list := make([]*rooms.Room, benchRooms)
	done := make(chan error, 4)
	for w := range cap(done) {
		go func() {
			var err error
			for i := w; i < benchRooms && err == nil; i += cap(done) {
				if list[i], err = r.rooms.Create(ctx, bob.caller, &rooms.CreateRequest{Preset: "public_chat", Name: fmt.Sprint("Room ", i)}); err == nil {
					err = r.rooms.Join(ctx, rooms.MembershipChange{Room: list[i], Sender: alice.id(), Target: alice.id()})
				}
			}
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	for i := range 50 {
		bob.say(list[i*199], "some words")
	}
	return r, alice, bob, list
}

func (s *slider) drain(b *testing.B, q *syncing.SlidingRequest) string {
	b.Helper()
	q.Pos = s.pos
	a, err := s.sync.Slide(ctx, &s.caller, q)
	if err != nil {
		b.Fatal(err)
	}
	defer a.Release()
	return posOf(a.Bytes())
}

// cpu runs fn again and again and reports the processor time of a run, of this process alone: machines are shared.
func cpu(b *testing.B, before, fn func()) {
	var used time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		before()
		at := cputime.Used()
		b.StartTimer()
		fn()
		used += cputime.Used() - at
		n++
	}
	b.ReportMetric(float64(used.Microseconds())/float64(n), "cpu-µs/op")
}

func posOf(answer []byte) string {
	// Why not as JSON: reading the whole answer would be counted with the server's work.
	rest, _ := bytes.CutPrefix(answer, []byte(`{"pos":"`))
	pos, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(pos)
}

func benchEach(b *testing.B, fn func(b *testing.B, url string)) {
	if os.Getenv("REMPART_TEST_ENGINES") != "postgres" {
		b.Run("sqlite", func(b *testing.B) { fn(b, sqliteURL(b)) })
	}
	if pgtest.Wanted() {
		b.Run("postgres", func(b *testing.B) { fn(b, pgtest.New(b)) })
	}
}

// Sliding sync of an account in ten thousand rooms, as Element X asks: the first window of twenty, with and without what
// the process remembers of the user; one new event where all rooms were sent; and a window that grows.
func BenchmarkSliding10000(b *testing.B) {
	benchEach(b, func(b *testing.B, url string) {
		r, alice, bob, list := rooms10000(b, url)
		whole := b
		err := r.db.KeepRoomList(ctx, alice.caller.UserNID)
		if err != nil {
			b.Fatal(err)
		}
		body := func(last int) *syncing.SlidingRequest {
			w := window(last, 1, elementState...)
			w["extensions"] = object{"account_data": object{"enabled": true}, "receipts": object{"enabled": true}, "typing": object{"enabled": true}}
			raw, _ := json.Marshal(w)
			q, err := syncing.ParseSliding(raw, alice.id(), false)
			if err != nil {
				b.Fatal(err)
			}
			return q
		}
		b.Run("first20cold", func(b *testing.B) {
			s := alice.slider(nil)
			cpu(b, func() { r.sync.ForgetUser(alice.caller.UserNID) }, func() {
				s.pos = ""
				s.drain(b, body(19))
			})
		})
		b.Run("first20restart", func(b *testing.B) {
			s := alice.slider(nil)
			cpu(b, func() {
				r.stop()
				r = newRig(whole, url)
				s.client = alice.on(r)
			}, func() {
				s.pos = ""
				s.drain(b, body(19))
			})
			alice, bob = alice.on(r), bob.on(r)
			for i := range list {
				if list[i], err = r.rooms.RoomByNID(ctx, list[i].NID()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("first20", func(b *testing.B) {
			s := alice.slider(nil)
			cpu(b, func() {}, func() {
				s.pos = ""
				s.drain(b, body(19))
			})
		})
		s := alice.slider(nil)
		for last := 99; ; last = min(last+1000, benchRooms-1) {
			s.pos = s.drain(b, body(last))
			if last == benchRooms-1 {
				break
			}
		}
		s.pos = s.drain(b, body(benchRooms-1))
		i := 0
		b.Run("oneevent", func(b *testing.B) {
			cpu(b, func() { i++; bob.say(list[(i*37)%benchRooms], "new") }, func() { s.pos = s.drain(b, body(benchRooms-1)) })
		})
		b.Run("quiet", func(b *testing.B) {
			cpu(b, func() {}, func() { s.pos = s.drain(b, body(benchRooms-1)) })
			sent, bytes := r.sync.ConnectionSize(alice.caller.UserNID)
			b.ReportMetric(float64(bytes)/float64(sent), "stored-B/room")
		})
	})
}

package sync_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// standingsByRow is what a user's list of rooms must be, asked of every room for itself.
func (c *client) standingsByRow() []storage.Standing {
	c.t.Helper()
	rows, err := c.db.ListMembershipsOf(ctx, c.caller.UserNID)
	if err != nil {
		c.t.Fatal(err)
	}
	var out []storage.Standing
	for _, m := range rows {
		s := storage.Standing{Room: m.Room, Membership: m.Membership, Pos: m.Pos, Last: m.Pos}
		switch m.Membership {
		case storage.MemberNone: // by no event
		case storage.MemberLeave, storage.MemberBan:
			e, err := c.rooms.Events(ctx, []int64{m.Event})
			if err != nil || len(e) != 1 {
				c.t.Fatal(e, err)
			}
			if s.Event, s.Removed = m.Event, e[0].Sender != c.id(); m.Forgotten {
				continue
			}
		default:
			counts, err := c.db.GetRoomCounts(ctx, m.Room)
			if err != nil {
				c.t.Fatal(err)
			}
			s.Last = counts.LastPos
		}
		out = append(out, s)
	}
	return out
}

func (c *client) checkLists(when string) {
	c.t.Helper()
	want := c.standingsByRow()
	got, err := c.db.ListStandings(ctx, c.caller.UserNID, math.MaxInt64)
	if err != nil {
		c.t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b storage.Standing) int { return cmp.Compare(a.Room, b.Room) })
	if !slices.Equal(got, want) {
		c.t.Errorf("%s: the list is\n%+v, want\n%+v", when, got, want)
	}
	joined, err := c.db.ListJoinedPositions(ctx, c.caller.UserNID)
	if err != nil {
		c.t.Fatal(err)
	}
	i := 0
	for _, s := range want {
		if s.Membership == storage.MemberJoin {
			if i >= len(joined) || joined[i] != (storage.JoinedRoom{Room: s.Room, Pos: s.Pos}) {
				c.t.Fatalf("%s: joined %+v, want %+v", when, joined, want)
			}
			i++
		}
	}
	if i != len(joined) {
		c.t.Errorf("%s: joined %+v, want %+v", when, joined, want)
	}
}

// A list of rooms that is stored in one piece says the same as the rows, whatever happened since, and over a restart the room
// that was active last comes first.
func TestRoomListInOnePiece(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		alice, bob := r.user("alice"), r.user("bob")
		list := make([]*rooms.Room, 8)
		for i := range list[:7] {
			list[i] = bob.public()
			alice.join(list[i])
		}
		taken := [2]*rooms.Room{bob.public(), bob.public()}
		for _, room := range taken {
			alice.join(room)
		}
		alice.taken(taken[0], storage.MemberNone)
		bob.change(invite, bob.public(), alice.id())
		keep := func() {
			t.Helper()
			if err := r.db.KeepRoomList(ctx, alice.caller.UserNID); err != nil {
				t.Fatal(err)
			}
			if at, err := r.db.RoomListAt(ctx, alice.caller.UserNID); err != nil || at == 0 {
				t.Fatalf("the list is as of %d, %v", at, err)
			}
		}
		keep()
		alice.checkLists("as it was stored")
		alice.change(leave, list[0], alice.id())
		bob.change(kick, list[1], alice.id())
		alice.taken(taken[1], storage.MemberNone)
		alice.change(leave, list[2], alice.id())
		alice.change(join, list[2], alice.id())
		list[7] = bob.public()
		alice.join(list[7])
		bob.change(invite, bob.public(), alice.id())
		bob.say(list[3], "active")
		alice.checkLists("after changes")
		r.stop()

		r = newRig(t, url)
		alice, bob = alice.on(r), bob.on(r)
		for i := range list {
			var err error
			if list[i], err = r.rooms.RoomByNID(ctx, list[i].NID()); err != nil {
				t.Fatal(err)
			}
		}
		first := func(when string, want *rooms.Room) {
			t.Helper()
			if a := alice.slider(window(0, 1)).ask(); !slices.Equal(a.ids(), idsOf(want)) || a.Lists["all"].Count != 9 {
				t.Errorf("%s: %s", when, a.raw)
			}
		}
		first("after a restart", list[3])
		bob.say(list[4], "active")
		r.sync.ForgetUser(alice.caller.UserNID)
		first("after a while", list[4])
		keep()
		alice.checkLists("stored again")
		r.sync.ForgetUser(alice.caller.UserNID)
		bob.say(list[5], "active")
		first("stored again", list[5])
	})
}

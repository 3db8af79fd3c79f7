package sender_test

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// closing is a policy that, once it is closed, refuses one server.
type closing struct {
	server     matrix.ServerName
	generation atomic.Uint64 // odd: refused
}

func (c *closing) Generation() uint64 { return c.generation.Load() }
func (c *closing) Enforced() bool     { return true }
func (c *closing) Judge(_ core.RoomAct, _, other matrix.ServerName) *core.Refusal {
	if c.generation.Load()%2 == 1 && other == c.server {
		return &core.Refusal{Rule: "deny.server"}
	}
	return nil
}
func (c *closing) Shown(context.Context, matrix.ServerName, string, matrix.RoomID, matrix.UserID) error {
	return nil
}
func (c *closing) Alarm(context.Context, core.RoomAlarm) {}

// members gives servers a member each in a room.
func (n *node) members(room *rooms.Room, peers ...*peer) {
	n.t.Helper()
	c := &storage.Change{}
	for _, p := range peers {
		user := matrix.UserID("@member:" + string(p.name))
		nid, err := n.db.UserNID(n.t.Context(), user)
		if err != nil {
			n.t.Fatal(err)
		}
		live := 1 + c.Live(storage.Live{Kind: storage.KindMembership, Room: room.NID(), User: nid})
		c.Add(&storage.MembershipRow{At: storage.At{Live: live}, User: nid, Room: room.NID(), Membership: storage.MemberJoin, Event: n.last(room)})
	}
	if err := n.db.Commit(n.t.Context(), c); err != nil {
		n.t.Fatal(err)
	}
}

// A room is frozen while messages of it wait for a server that is away: they stay until it is open again, also over a restart, and the
// transaction that was under way is sent without them. Other rooms go on.
func TestAFrozenRoomIsHeldBack(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		w := newWorld(t)
		good, bad := w.peer(1), w.peer(2)
		p := &closing{server: bad.name}
		w.policy = p
		good.answers(func(transaction) int { return http.StatusBadGateway })
		n := w.node(t, url, 0)
		frozen, other := n.room(), n.room()
		n.close()
		n = w.node(t, url, 0) // Why: the rooms of before know who was in them
		n.members(frozen, good, bad)
		n.members(other, good)
		frozen, other = n.again(frozen), n.again(other)
		n.say(frozen, set(good), "held")
		good.next(t)
		p.generation.Add(1)
		n.close()
		good.answers(nil)
		w.pass(time.Hour)
		n = w.node(t, url, 0)
		other = n.again(other)
		n.say(other, set(good), "other")
		good.until(t, func() bool { w.pass(time.Minute); return len(good.bodies()) > 0 })
		if got := slices.Compact(good.bodies()); !slices.Equal(got, []string{"other"}) { // Why compact: say tells its room's members twice
			t.Fatalf("while the room is frozen %v left", got)
		}
		n.close()
		n = w.node(t, url, 0)
		p.generation.Add(1)
		n.say(n.again(other), set(good), "again")
		good.until(t, func() bool {
			w.pass(time.Minute)
			return slices.Contains(good.bodies(), "held") && slices.Contains(good.bodies(), "again")
		})
	})
}

// again finds a room by its id.
func (n *node) again(room *rooms.Room) *rooms.Room {
	n.t.Helper()
	r, err := n.rooms.Room(n.t.Context(), room.ID())
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

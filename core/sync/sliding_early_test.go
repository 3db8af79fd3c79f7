package sync_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
)

// What is told of a room that begins is the same whether it is looked at together with others or alone: unread counts,
// timeline, receipts at what is shown, own data.
func TestSlidingTogetherAsAlone(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, eve := r.user("alice"), r.user("bob"), r.user("eve")
		var list []*rooms.Room
		for i := range 5 {
			room := bob.create(&rooms.CreateRequest{Preset: "public_chat", Name: fmt.Sprint("Room ", i)})
			list = append(list, room)
			alice.join(room)
			eve.join(room)
			first := bob.say(room, "one")
			bob.send(room, "m.room.message", object{"msgtype": "m.text", "body": "for you", "m.mentions": object{"user_ids": []matrix.UserID{alice.id()}}})
			eve.say(room, "from eve")
			last := bob.send(room, "m.room.message", object{"msgtype": "m.text", "body": "for all", "m.mentions": object{"room": true}})
			switch i {
			case 1:
				alice.reads(room, first, "")
			case 2:
				alice.reads(room, last, "")
				eve.reads(room, last, "")
			case 3:
				alice.reads(room, last, "main")
				bob.reads(room, first, "")
				alice.account(room.NID(), "some.data", object{"n": i})
			case 4:
				for range 5 {
					eve.say(room, "not wanted")
				}
			}
		}
		alice.account(0, "m.ignored_user_list", object{"ignored_users": object{string(eve.id()): object{}}})
		type told struct {
			room              slidRoom
			receipts          event
			account           []event
			notify, highlight int
		}
		of := func(a *slid, room *rooms.Room) told {
			got := *a.room(room)
			x := told{receipts: a.Ext.Receipts.Rooms[room.ID()], account: a.Ext.Account.Rooms[room.ID()], notify: *got.Notify, highlight: *got.Highlight}
			for i := range got.Timeline {
				got.Timeline[i].Unsigned = nil // the age
			}
			x.room = slidRoom{Initial: got.Initial, Limited: got.Limited, Timeline: got.Timeline, Prev: got.Prev, Bump: got.Bump}
			return x
		}
		ext := object{"account_data": object{"enabled": true}, "receipts": object{"enabled": true}}
		for _, limit := range []int{0, 1, 3} {
			r.sync.ForgetUser(alice.caller.UserNID)
			s := alice.slider(window(9, limit))
			s.body["extensions"] = ext
			together := s.next()
			for i, room := range list {
				r.sync.ForgetUser(alice.caller.UserNID)
				one := alice.slider(object{"extensions": ext, "room_subscriptions": object{string(room.ID()): object{"timeline_limit": limit, "required_state": [][]string{}}}})
				one.conn = fmt.Sprint("one", limit, i)
				if got, want := of(together, room), of(one.next(), room); !reflect.DeepEqual(got, want) {
					g, _ := json.Marshal(got.room)
					w, _ := json.Marshal(want.room)
					t.Errorf("limit %d, room %d: together %+v\n%s\nalone %+v\n%s", limit, i, got, g, want, w)
				}
			}
		}
	})
}

// reads moves a receipt of the client.
func (c *client) reads(room *rooms.Room, event matrix.EventID, thread string) {
	c.t.Helper()
	if err := c.sync.SetReceipts(ctx, &c.caller, syncing.Receipt{Room: room.ID(), Type: "m.read", Event: event, Thread: thread}); err != nil {
		c.t.Fatal(err)
	}
}

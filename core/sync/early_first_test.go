package sync_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"rempart/core/rooms"
)

// A first sync asks after many rooms at once; what it tells of each is what it tells where that room alone is wanted.
func TestFirstSyncTogetherAsAlone(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, eve := r.user("alice"), r.user("bob"), r.user("eve")
		var list []*rooms.Room
		for i := range 6 {
			list = append(list, lively(alice, bob, eve, i))
		}
		for _, parts := range []string{
			`"timeline":{"limit":4}`, `"timeline":{"limit":0}`, `"timeline":{"limit":60}`,
			`"timeline":{"limit":4},"state":{"lazy_load_members":true}`,
			`"timeline":{"limit":4,"not_senders":["@eve:home.example"],"unread_thread_notifications":true}`,
		} {
			for _, after := range []bool{false, true} {
				alice.since, alice.after = "", after
				alice.filter = `{"room":{` + parts + `}}`
				r.sync.ForgetUser(alice.caller.UserNID)
				together, again := alice.next(), func() *answer { alice.since = ""; return alice.next() }()
				for i, room := range list {
					r.sync.ForgetUser(alice.caller.UserNID)
					alice.since, alice.filter = "", `{"room":{"rooms":["`+string(room.ID())+`"],`+parts+`}}`
					want := timeless(alice.next().joined(room))
					for _, a := range []*answer{together, again} {
						if got := timeless(a.joined(room)); !reflect.DeepEqual(got, want) {
							g, _ := json.Marshal(got)
							w, _ := json.Marshal(want)
							t.Errorf("%s, after %v, room %d: together\n%s\nalone\n%s", parts, after, i, g, w)
						}
					}
				}
			}
		}
	})
}

// lively makes a room in which this and that happened.
func lively(alice, bob, eve *client, i int) *rooms.Room {
	room := bob.create(&rooms.CreateRequest{Preset: "public_chat", Name: fmt.Sprint("Room ", i)})
	bob.set(room, "m.room.topic", "", object{"topic": "before"})
	alice.join(room)
	eve.join(room)
	first := bob.say(room, "one")
	for n := range 3 * i {
		eve.say(room, fmt.Sprint("line ", n))
	}
	bob.send(room, "m.room.message", object{"msgtype": "m.text", "body": "for you", "m.mentions": object{"user_ids": []any{alice.id()}}})
	bob.send(room, "m.room.message", object{"msgtype": "m.text", "body": "in a thread", "m.relates_to": object{"rel_type": "m.thread", "event_id": first}})
	if i%2 == 1 {
		bob.set(room, "m.room.topic", "", object{"topic": "now"})
	}
	last := eve.say(room, "last but one")
	switch i {
	case 1:
		alice.reads(room, first, "")
	case 2:
		alice.reads(room, last, "")
		eve.reads(room, last, "")
	case 3:
		alice.reads(room, last, "main")
		alice.account(room.NID(), "some.data", object{"n": i})
	case 4:
		alice.say(room, "answer")
	case 5: // who speaks before that is told of as he was called then
		eve.set(room, "m.room.member", string(eve.id()), object{"membership": "join", "displayname": "Another"})
	}
	bob.say(room, "last")
	return room
}

// timeless is an answer's part about a room without what differs from one moment to the next, and in one order.
func timeless(j *joined) *joined {
	for _, part := range []*events{&j.Timeline.events, j.State, j.StateAfter} {
		if part == nil {
			continue
		}
		for i := range part.Events {
			part.Events[i].Unsigned = nil // the age
		}
		if part != &j.Timeline.events {
			slices.SortFunc(part.Events, func(a, b event) int { return cmp.Compare(a.ID, b.ID) })
		}
	}
	return j
}

// What a first sync says of names and numbers of rooms is so where their state is read together, in one that has a name or none, and
// where much has changed or is folded.
func TestFirstSyncSizesAndNames(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, eve, dan := r.user("alice"), r.user("bob"), r.user("eve"), r.user("dan")
		heroes := []any{string(bob.id()), string(eve.id()), string(dan.id())}
		var list []*rooms.Room
		for i := range 6 {
			room := bob.create(&rooms.CreateRequest{Preset: "public_chat", Name: "Room"})
			alice.join(room)
			eve.join(room)
			if err := r.rooms.Invite(t.Context(), rooms.MembershipChange{Room: room, Sender: bob.id(), Target: dan.id()}); err != nil {
				t.Fatal(err)
			}
			switch i {
			case 1, 4, 5: // a name that is empty is none
				bob.set(room, "m.room.name", "", object{"name": ""})
			case 2:
				bob.set(room, "m.room.name", "", object{"name": "Another"})
			case 3:
				bob.set(room, "m.room.name", "", object{})
				bob.set(room, "m.room.canonical_alias", "", object{})
			}
			if i == 5 { // more changes than are read together
				for n := range 520 {
					bob.set(room, "m.room.topic", "", object{"topic": fmt.Sprint(n)})
				}
			}
			if last := bob.say(room, "the last word"); i == 4 {
				r.prune(room, last)
			}
			list = append(list, room)
		}
		alice.filter = `{"room":{"timeline":{"limit":1},"state":{"lazy_load_members":true}}}`
		a := alice.next()
		for i, room := range list {
			j := a.joined(room)
			if j.Summary["m.joined_member_count"] != 3.0 || j.Summary["m.invited_member_count"] != 1.0 {
				t.Errorf("room %d: %v", i, j.Summary)
			}
			got, _ := j.Summary["m.heroes"].([]any)
			if named := i == 0 || i == 2; named && got != nil || !named && !reflect.DeepEqual(got, heroes) {
				t.Errorf("room %d: heroes %v", i, got)
			}
			members := []string{string(alice.id()), string(bob.id())}
			if got != nil {
				members = append(members, string(dan.id()), string(eve.id()))
			}
			var told []string
			topics := 0
			for _, e := range j.State.Events {
				if e.Type == "m.room.member" {
					told = append(told, *e.StateKey)
				} else if e.Type == "m.room.topic" {
					topics++
				}
			}
			slices.Sort(told)
			if !slices.Equal(told, members) || (topics == 1) != (i == 5) {
				t.Errorf("room %d: state tells of members %v and of %d topics; want %v", i, told, topics, members)
			}
		}
	})
}

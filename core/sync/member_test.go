package sync_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/storage"
)

// An invite and a knock come with stripped state; joining makes the room new.
func TestInviteKnockJoin(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, carol := r.user("alice"), r.user("bob"), r.user("carol")
		room := alice.create(&rooms.CreateRequest{Name: "Office", InitialState: []rooms.InitialState{
			{Type: "m.room.join_rules", Content: []byte(`{"join_rule":"knock"}`)}}})
		bob.next()
		carol.next()
		alice.change(invite, room, bob.id())
		carol.change(func(s *rooms.Service, m rooms.MembershipChange) error { return s.Knock(ctx, m) }, room, carol.id())
		a := bob.next()
		in := a.Rooms.Invite[room.ID()]
		if in == nil || in.Invite.find("m.room.name", "") == nil || in.Invite.find("m.room.member", string(bob.id())) == nil ||
			in.Invite.find("m.room.member", string(alice.id())) == nil || in.Invite.find("m.room.create", "") == nil {
			t.Fatalf("invite: %s", a.raw)
		}
		if a := carol.next(); a.Rooms.Knock[room.ID()] == nil || a.Rooms.Knock[room.ID()].Knock.find("m.room.member", string(carol.id())) == nil {
			t.Fatalf("knock: %s", a.raw)
		}
		if a := bob.next(); len(a.Rooms.Invite) != 0 {
			t.Errorf("the invite came twice: %s", a.raw)
		}
		bob.join(room)
		a = bob.next()
		j := a.joined(room)
		if !j.Timeline.Limited || j.State.find("m.room.create", "") == nil && j.Timeline.find("m.room.create", "") == nil || len(a.Rooms.Invite) != 0 {
			t.Errorf("a room that is new: %s", a.raw)
		}
	})
}

// Who asked for the state after the timeline takes none from the timeline: a knock turned down stands in the state.
func TestKnockTurnedDown(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, carol := r.user("alice"), r.user("carol")
		room := alice.create(&rooms.CreateRequest{InitialState: []rooms.InitialState{
			{Type: "m.room.join_rules", Content: []byte(`{"join_rule":"knock"}`)}}})
		carol.after = true
		carol.next()
		carol.change(func(s *rooms.Service, m rooms.MembershipChange) error { return s.Knock(ctx, m) }, room, carol.id())
		carol.next()
		alice.change(kick, room, carol.id())
		a := carol.next()
		left := a.Rooms.Leave[room.ID()]
		if left == nil || left.StateAfter.find("m.room.member", string(carol.id())) == nil || len(left.Timeline.Events) != 1 {
			t.Errorf("a knock turned down: %s", a.raw)
		}
	})
}

// Leaving, being kicked and being banned each end with the event that did it; nothing of later is seen. A first sync tells of bans until they are forgotten.
func TestLeaving(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		for name, how := range map[string]func(room *rooms.Room){
			"leave": func(room *rooms.Room) { bob.leave(room) },
			"kick":  func(room *rooms.Room) { alice.change(kick, room, bob.id()) },
			"ban":   func(room *rooms.Room) { alice.change(ban, room, bob.id()) },
		} {
			room := alice.public()
			bob.join(room)
			bob.next()
			alice.say(room, "before")
			how(room)
			alice.say(room, "after")
			alice.set(room, "m.room.topic", "", object{"topic": "after"})
			a := bob.next()
			left := a.Rooms.Leave[room.ID()]
			if left == nil || a.Rooms.Join[room.ID()] != nil {
				t.Fatalf("%s: %s", name, a.raw)
			}
			if n := len(left.Timeline.Events); n != 2 || left.Timeline.Events[0].Content["body"] != "before" || left.Timeline.Events[1].Type != "m.room.member" {
				t.Errorf("%s: timeline in %s", name, a.raw)
			}
			if left.State == nil || len(left.State.Events) != 0 {
				t.Errorf("%s: state %+v", name, left.State)
			}
			if a := bob.next(); len(a.Rooms.Leave) != 0 {
				t.Errorf("%s came twice: %s", name, a.raw)
			}
			bob.since = ""
			a = bob.next()
			if told := a.Rooms.Leave[room.ID()]; (told != nil) != (name == "ban") || told != nil && slices.Contains(told.Timeline.bodies(), "after") {
				t.Errorf("%s: a first sync: %s", name, a.raw)
			}
			bob.since, bob.filter = "", `{"room":{"include_leave":true}}`
			if a := bob.next(); a.Rooms.Leave[room.ID()] == nil || slices.Contains(a.Rooms.Leave[room.ID()].Timeline.bodies(), "after") {
				t.Errorf("%s: the archive: %s", name, a.raw)
			}
			bob.since, bob.filter = "", ""
			if err := r.rooms.Forget(ctx, room, bob.id()); err != nil {
				t.Fatal(err)
			}
			if a := bob.next(); a.Rooms.Leave[room.ID()] != nil {
				t.Errorf("%s, forgotten: %s", name, a.raw)
			}
		}
	})
}

// Who was out and came back between two syncs gets the room anew, and no trace of a leave; who declined an invite sees
// that, and nothing else of the room.
func TestRejoinAndDecline(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		bob.next()
		bob.leave(room)
		for i := range 15 {
			alice.say(room, fmt.Sprint(i))
		}
		bob.join(room)
		a := bob.next()
		if j := a.joined(room); !j.Timeline.Limited || j.State.find("m.room.create", "") == nil || a.Rooms.Leave[room.ID()] != nil {
			t.Errorf("rejoined: %s", a.raw)
		}
		secret := alice.create(&rooms.CreateRequest{Name: "secret", Invite: []matrix.UserID{bob.id()}})
		bob.leave(secret)
		a = bob.next()
		left := a.Rooms.Leave[secret.ID()]
		if left == nil || len(left.Timeline.Events) != 1 || len(left.State.Events) != 0 || a.Rooms.Invite[secret.ID()] != nil {
			t.Errorf("declined: %s", a.raw)
		}
		r.db.Position()
	})
}

// A new display name is no new room.
func TestProfileChange(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := alice.public()
		bob.join(room)
		bob.next()
		bob.set(room, "m.room.member", string(bob.id()), object{"membership": "join", "displayname": "Bobby"})
		if j := bob.next().joined(room); j.Timeline.Limited || len(j.Timeline.Events) != 1 || len(j.State.Events) != 0 {
			t.Errorf("after a new name: %+v", j)
		}
	})
}

// With lazy loading the members come of those who speak, each once, again when the token before it is repeated.
func TestLazyMembers(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		room := alice.create(&rooms.CreateRequest{Preset: "public_chat", Name: "Office"})
		var others []*client
		for i := range 5 {
			others = append(others, r.user(fmt.Sprint("user", i)))
			others[i].join(room)
		}
		for i := range 3 {
			alice.say(room, fmt.Sprint(i))
		}
		alice.filter = `{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":2}}}`
		members := func(j *joined) (out []string) {
			for _, e := range j.State.Events {
				if e.Type == "m.room.member" {
					out = append(out, *e.StateKey)
				}
			}
			return out
		}
		if got := members(alice.next().joined(room)); !slices.Equal(got, []string{string(alice.id())}) {
			t.Errorf("first: members %v", got)
		}
		others[0].say(room, "hello")
		want := []string{string(others[0].id())}
		for range 2 { // the token stays: the member is not yet known to have arrived
			if got := members(alice.ask(syncing.Request{}).joined(room)); !slices.Equal(got, want) {
				t.Errorf("who speaks: members %v, want %v", got, want)
			}
		}
		alice.next()
		others[0].say(room, "again")
		if got := members(alice.next().joined(room)); len(got) != 0 {
			t.Errorf("known members came again: %v", got)
		}
		alice.filter = `{"room":{"state":{"lazy_load_members":true,"include_redundant_members":true},"timeline":{"limit":2}}}`
		others[0].say(room, "and again")
		if got := members(alice.next().joined(room)); !slices.Equal(got, want) {
			t.Errorf("redundant members were asked for: %v, want %v", got, want)
		}
		alice.filter = `{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":2}}}`
		others[1].leave(room)
		for range 3 {
			alice.say(room, "fill")
		}
		if got := members(alice.next().joined(room)); !slices.Contains(got, string(others[1].id())) {
			t.Errorf("a leave in a gap is missing: %v", got)
		}
	})
}

// What ignored users send is left out, but not their state; their invites never come.
func TestIgnoredUsers(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, carol := r.user("alice"), r.user("bob"), r.user("carol")
		room := bob.public()
		alice.join(room)
		carol.join(room)
		alice.next()
		alice.account(0, "m.ignored_user_list", object{"ignored_users": object{string(bob.id()): object{}}})
		bob.say(room, "noise")
		carol.say(room, "news")
		bob.set(room, "m.room.topic", "", object{"topic": "t"})
		bob.create(&rooms.CreateRequest{Invite: []matrix.UserID{alice.id()}})
		a := alice.next()
		j := a.joined(room)
		if got := j.Timeline.bodies(); !slices.Equal(got, []string{"news"}) || j.Timeline.find("m.room.topic", "") == nil || len(a.Rooms.Invite) != 0 {
			t.Errorf("with an ignored user: %s", a.raw)
		}
		if j.Unread.Notify != 1 {
			t.Errorf("what is ignored was counted: %+v", j.Unread)
		}
	})
}

// account sets account data as another device would.
func (c *client) account(room int64, typ string, content object) {
	c.t.Helper()
	raw, _ := json.Marshal(content)
	change := &storage.Change{}
	row := &storage.AccountDataRow{User: c.caller.UserNID, Room: room, Type: typ, Content: raw}
	row.At.Live = change.Live(storage.Live{Kind: storage.KindAccountData, User: c.caller.UserNID, Room: room}) + 1
	change.Add(row)
	if err := c.db.Commit(ctx, change); err != nil {
		c.t.Fatal(err)
	}
}

// Account data of a room comes with the room, and a filter keeps types and rooms out.
func TestAccountDataAndFilters(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room, other := alice.public(), alice.public()
		alice.next()
		alice.account(room.NID(), "m.tag", object{"tags": object{}})
		alice.account(0, "org.example", object{"x": 1})
		a := alice.next()
		if a.joined(room).Account.find("m.tag", "") == nil || a.Account.find("org.example", "") == nil || a.Rooms.Join[other.ID()] != nil {
			t.Errorf("account data: %s", a.raw)
		}
		bob.join(room)
		alice.next()
		alice.filter = fmt.Sprintf(`{"account_data":{"not_types":["org.*"]},"room":{"not_rooms":[%q],"timeline":{"types":["m.room.message"],"not_senders":[%q]},"ephemeral":{"types":[]}}}`,
			other.ID(), bob.id())
		alice.account(0, "org.example", object{"x": 2})
		alice.say(other, "no")
		alice.say(room, "yes")
		bob.say(room, "no")
		a = alice.next()
		if got := a.joined(room).Timeline.bodies(); !slices.Equal(got, []string{"yes"}) || a.Rooms.Join[other.ID()] != nil || a.Account.Events != nil {
			t.Errorf("filtered: %s", a.raw)
		}
	})
}

package sync_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// The stable dialect says what the older one did not, in its own words.
func TestSlidingStable(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := bob.create(&rooms.CreateRequest{Preset: "public_chat", Name: "Room"})
		asked := bob.create(&rooms.CreateRequest{Preset: "private_chat", Name: "Asked"})
		alice.join(room)
		bob.change(invite, asked, alice.id())
		s := alice.slider(object{"lists": object{
			"some": object{"range": []int{0, 9}, "timeline_limit": 1, "required_state": object{
				"include": []object{{}}, "exclude": []object{{"type": "m.room.power_levels"}}, "lazy_members": true}},
		}})
		s.stable = true
		a := s.next()
		got := a.room(room)
		if got.Membership != "join" || !slices.Equal(got.Lists, []string{"some"}) || got.Notify != nil || *got.Name != "Room" {
			t.Errorf("a joined room: %s", a.raw)
		}
		want := []string{"m.room.create|", "m.room.history_visibility|", "m.room.join_rules|", "m.room.member|" + string(alice.id()), "m.room.name|"}
		if types := got.types(); !slices.Equal(types, want) {
			t.Errorf("required_state has %v", types)
		}
		if i := a.room(asked); i.Membership != "invite" || len(i.Stripped) == 0 || i.Invite != nil || i.Timeline != nil || !i.Initial {
			t.Errorf("an invitation: %s", a.raw)
		}
		bob.set(room, "m.room.name", "", object{})
		if a := s.next(); !strings.Contains(a.raw, `"name":null`) {
			t.Errorf("the name is taken away: %s", a.raw)
		}
		alice.join(asked)
		if got := s.next().room(asked); got.Membership != "join" || !got.Initial || *got.Name != "Asked" || got.Stripped != nil {
			t.Errorf("the invitation is accepted: %+v", got)
		}
		bob.change(kick, asked, alice.id())
		if got := s.next().room(asked); got.Membership != "leave" || got.Initial {
			t.Errorf("put out: %+v", got)
		}
		s.pos = ""
		if a := s.next(); a.Lists["some"].Count != 2 || a.room(asked).Membership != "leave" || !a.room(asked).Initial {
			t.Errorf("whom somebody put out sees the room in a new connection: %s", a.raw)
		}
		alice.leave(room)
		if got := s.next().room(room); got.Membership != "leave" || got.Lists != nil {
			t.Errorf("left: %+v", got)
		}
		s.quiet()
		s.pos = ""
		if a := s.next(); a.Lists["some"].Count != 1 || a.Rooms[room.ID()] != nil {
			t.Errorf("a room one has left is not in a new connection: %s", a.raw)
		}
	})
}

// A change of the wanted state brings what was not wanted before, and a timeline brings those who speak in it, once.
func TestSlidingRequiredState(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, eve := r.user("alice"), r.user("bob"), r.user("eve")
		room := alice.public()
		bob.join(room)
		eve.join(room)
		member := func(c *client) string { return "m.room.member|" + string(c.id()) }
		s := alice.slider(window(9, 1, []string{"m.room.create", ""}, []string{"m.room.member", "$ME"}, []string{"m.room.member", "$LAZY"}))
		if got := s.next().room(room); !slices.Equal(got.types(), []string{"m.room.create|", member(alice), member(eve)}) {
			t.Errorf("at first: %v", got.types())
		}
		bob.say(room, "one")
		if got := s.next().room(room); !slices.Equal(got.types(), []string{member(bob)}) {
			t.Errorf("who speaks: %v", got.types())
		}
		bob.say(room, "two")
		if got := s.next().room(room); len(got.State) != 0 {
			t.Errorf("who is known already: %v", got.types())
		}
		bob.set(room, "m.room.member", string(bob.id()), object{"membership": "join", "displayname": "Robert"})
		if got := s.next().room(room); !slices.Equal(got.types(), []string{member(bob)}) || got.State[0].Content["displayname"] != "Robert" {
			t.Errorf("a new name: %v", got.types())
		}
		s.body = window(9, 1, []string{"m.room.join_rules", "*"}, []string{"m.room.member", "*"})
		a, err := s.try(eventually)
		if err != nil {
			t.Fatal(err)
		}
		s.pos = a.Pos
		if got := a.room(room); !slices.Equal(got.types(), []string{"m.room.join_rules|", member(bob), member(eve)}) {
			t.Errorf("what was not wanted before: %v", got.types())
		}
		alice.set(room, "m.room.topic", "", object{"topic": "x"})
		alice.set(room, "m.room.join_rules", "", object{"join_rule": "invite"})
		if got := s.next().room(room); !slices.Equal(got.types(), []string{"m.room.join_rules|"}) {
			t.Errorf("changes of what is wanted: %v", got.types())
		}
	})
}

// Filters choose rooms by what they are and by how the user stands to them.
func TestSlidingFilters(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		plain := alice.public()
		secret := alice.create(&rooms.CreateRequest{Preset: "public_chat", InitialState: []rooms.InitialState{{Type: "m.room.encryption", Content: json.RawMessage(`{"algorithm":"m.megolm.v1.aes-sha2"}`)}}})
		space := alice.create(&rooms.CreateRequest{Preset: "public_chat", CreationContent: map[string]json.RawMessage{"type": json.RawMessage(`"m.space"`)}})
		asked := bob.create(&rooms.CreateRequest{Preset: "private_chat"})
		bob.change(invite, asked, alice.id())
		alice.account(0, "m.direct", object{string(bob.id()): []matrix.RoomID{plain.ID()}})
		alice.account(secret.NID(), "m.tag", object{"tags": object{"m.favourite": object{}}})
		alice.set(space, "m.space.child", string(plain.ID()), object{"via": []string{"home.example"}})
		alice.set(space, "m.space.child", string(secret.ID()), object{})
		check := func(filter object, want ...*rooms.Room) {
			t.Helper()
			s := alice.slider(window(9, 0))
			s.body["lists"].(object)["all"].(object)["filters"] = filter
			if a := s.next(); !slices.Equal(a.ids(), idsOf(want...)) || a.Lists["all"].Count != len(want) {
				t.Errorf("%v: %s", filter, a.raw)
			}
		}
		check(object{}, plain, secret, space, asked)
		check(object{"is_dm": true}, plain)
		check(object{"is_dm": false}, secret, space, asked)
		check(object{"is_encrypted": true}, secret)
		check(object{"is_encrypted": false}, plain, space, asked)
		check(object{"is_invite": true}, asked)
		check(object{"is_invite": false}, plain, secret, space)
		check(object{"room_types": []any{"m.space"}}, space)
		check(object{"room_types": []any{nil}}, plain, secret, asked)
		check(object{"not_room_types": []any{"m.space"}}, plain, secret, asked)
		check(object{"room_types": []any{"m.space"}, "not_room_types": []any{"m.space"}})
		check(object{"tags": []string{"m.favourite"}}, secret)
		check(object{"not_tags": []string{"m.favourite"}}, plain, space, asked)
		check(object{"spaces": []matrix.RoomID{space.ID()}}, plain)
		check(object{"spaces": []string{"!unknown:home.example"}})
		check(object{"is_dm": true, "is_encrypted": true})

		s := alice.slider(window(9, 0))
		s.body["lists"].(object)["all"].(object)["filters"] = object{"is_encrypted": true}
		s.next()
		alice.set(plain, "m.room.encryption", "", object{"algorithm": "m.megolm.v1.aes-sha2"})
		if a := s.next(); !slices.Equal(a.ids(), idsOf(plain)) || *a.room(plain).DM != true {
			t.Errorf("a room is encrypted: %s", a.raw)
		}
		alice.account(0, "m.direct", object{})
		if a := s.next(); len(a.Rooms) != 1 || *a.room(plain).DM {
			t.Errorf("no longer direct: %s", a.raw)
		}
	})
}

// Extensions tell of the user and of the rooms that rules match, each thing once.
func TestSlidingExtensions(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob, eve := r.user("alice"), r.user("bob"), r.user("eve")
		room, other := bob.public(), bob.public()
		alice.join(room)
		alice.join(other)
		said := bob.say(room, "one")
		alice.account(0, "org.example", object{"x": 1})
		alice.account(room.NID(), "m.fully_read", object{"event_id": said})
		r.receipt(bob, room.ID(), "m.read", said, "")
		s := alice.slider(window(0, 1))
		on := object{"enabled": true}
		s.body["extensions"] = object{"account_data": on, "receipts": on, "typing": on, "e2ee": on, "to_device": on}
		a := s.next()
		x := a.Ext
		if find := (events{x.Account.Global}).find; find("org.example", "") == nil || find("m.push_rules", "") == nil {
			t.Errorf("account data: %s", a.raw)
		}
		if len(x.Account.Rooms) != 1 || x.Account.Rooms[room.ID()][0].Type != "m.fully_read" || x.Receipts.Rooms[room.ID()].Content[string(said)] == nil {
			t.Errorf("of the room: %s", a.raw)
		}
		if x.ToDevice == nil || x.ToDevice.Next == "" || x.E2EE.Counts["signed_curve25519"] != 0 || x.E2EE.Lists.Changed != nil {
			t.Errorf("keys and messages: %s", a.raw)
		}
		s.quiet()

		if err := r.sync.SetTyping(ctx, &bob.caller, room.ID(), true, 0); err != nil {
			t.Fatal(err)
		}
		if a := s.next(); a.Ext.Typing.Rooms[room.ID()].Type != "m.typing" || len(a.Rooms) != 0 {
			t.Errorf("typing: %s", a.raw)
		}
		alice.account(room.NID(), "m.tag", object{"tags": object{}})
		alice.account(other.NID(), "m.tag", object{"tags": object{}})
		if a := s.next(); len(a.Ext.Account.Rooms) != 1 || len(a.Ext.Account.Rooms[room.ID()]) != 1 || len(a.Ext.Account.Global) != 0 {
			t.Errorf("data of the room in the window: %s", a.raw)
		}
		s.body["lists"] = window(9, 1)["lists"]
		if a := s.next(); len(a.Ext.Account.Rooms[other.ID()]) != 1 {
			t.Errorf("data of a room that comes into the window: %s", a.raw)
		}
		r.deviceList(bob)
		eve.join(other)
		if a := s.next(); !slices.Equal(a.Ext.E2EE.Lists.Changed, []matrix.UserID{bob.id(), eve.id()}) {
			t.Errorf("lists of devices: %s", a.raw)
		}
		r.toDevice(alice, "m.one")
		first := s.next().Ext.ToDevice
		again := s.next().Ext.ToDevice
		if len(first.Events) != 1 || len(again.Events) != 1 {
			t.Errorf("a message for the device stays until it is proved: %v %v", first, again)
		}
		s.body["extensions"].(object)["to_device"] = object{"enabled": true, "since": again.Next}
		if got := s.next().Ext.ToDevice; len(got.Events) != 0 {
			t.Errorf("a proved message: %v", got)
		}
		s.body["extensions"].(object)["to_device"] = on
		if got := s.next().Ext.ToDevice; len(got.Events) != 0 {
			t.Errorf("a proved message is gone: %v", got)
		}
		s.quiet()
	})
}

// Whoever waits is woken by what concerns his rules, and by nothing else.
func TestSlidingWaits(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice, bob := r.user("alice"), r.user("bob")
		room := bob.public()
		alice.join(room)
		s := alice.slider(window(9, 5))
		s.next()
		got := make(chan *slid, 1)
		wait := func() {
			go func() {
				a, err := s.try(eventually)
				if err != nil {
					t.Error(err)
				}
				got <- a
			}()
		}
		wait()
		r.receipt(bob, room.ID(), "m.read", firstOf(t, r, room.ID()), "")
		bob.say(room, "news")
		a := <-got
		if !slices.Equal(a.room(room).bodies(), []string{"news"}) {
			t.Errorf("woken by %s", a.raw)
		}
		s.pos = a.Pos
		wait()
		bob.change(invite, bob.public(), alice.id())
		if a = <-got; len(a.Rooms) != 1 {
			t.Errorf("woken by %s", a.raw)
		}
		s.pos = a.Pos
		wait()
		later := alice.slider(window(9, 5))
		for later.pos = s.pos; ; {
			select {
			case <-got: // another request of the connection takes over
				return
			case <-time.After(10 * time.Millisecond):
				later.ask()
			}
		}
	})
}

// Requests that are built to hurt end in errors, and what is allowed stays bounded.
func TestSlidingHostile(t *testing.T) {
	r := newRig(t, sqliteURL(t))
	alice := r.user("alice")
	room := alice.public()
	many := func(n int, entry string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(`"l%d":%s`, i, entry))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	list := `{"ranges":[[0,10]],"timeline_limit":1,"required_state":[]}`
	for name, c := range map[string]struct{ body, code string }{
		"not JSON":           {`{`, matrix.CodeNotJSON},
		"a list":             {`[]`, matrix.CodeBadJSON},
		"lists a string":     {`{"lists":"x"}`, matrix.CodeBadJSON},
		"a list null":        {`{"lists":{"a":null}}`, matrix.CodeInvalidParam},
		"101 lists":          {`{"lists":` + many(101, list) + `}`, matrix.CodeInvalidParam},
		"1001 subscriptions": {`{"room_subscriptions":` + many(1001, `{"timeline_limit":1}`) + `}`, matrix.CodeInvalidParam},
		"negative range":     {`{"lists":{"a":{"ranges":[[-1,5]]}}}`, matrix.CodeInvalidParam},
		"reversed range":     {`{"lists":{"a":{"ranges":[[5,1]]}}}`, matrix.CodeInvalidParam},
		"a range of three":   {`{"lists":{"a":{"ranges":[[1,2,3]]}}}`, matrix.CodeInvalidParam},
		"beyond integers":    {`{"lists":{"a":{"ranges":[[0,1e400]]}}}`, matrix.CodeBadJSON},
		"negative limit":     {`{"lists":{"a":{"timeline_limit":-1}}}`, matrix.CodeInvalidParam},
		"state of numbers":   {`{"lists":{"a":{"required_state":[[1,2]]}}}`, matrix.CodeBadJSON},
		"state of one":       {`{"lists":{"a":{"required_state":[["a"]]}}}`, matrix.CodeBadJSON},
		"much state":         {`{"lists":{"a":{"required_state":[` + strings.TrimSuffix(strings.Repeat(`["a","b"],`, 300), ",") + `]}}}`, matrix.CodeInvalidParam},
		"long conn_id":       {`{"conn_id":"` + strings.Repeat("x", 300) + `"}`, matrix.CodeInvalidParam},
		"extension a string": {`{"extensions":{"e2ee":{"enabled":"yes"}}}`, matrix.CodeBadJSON},
	} {
		if _, err := syncing.ParseSliding([]byte(c.body), alice.id(), false); !matrix.HasCode(err, c.code) {
			t.Errorf("%s: %v, not %s", name, err, c.code)
		}
	}
	for name, body := range map[string]string{
		"101 subscriptions": `{"room_subscriptions":` + many(101, `{"timeline_limit":1,"required_state":{}}`) + `}`,
		"a name":            `{"lists":{"ä":{"timeline_limit":1,"required_state":{}}}}`,
		"no limit":          `{"lists":{"a":{"required_state":{}}}}`,
	} {
		if _, err := syncing.ParseSliding([]byte(body), alice.id(), true); err == nil {
			t.Errorf("%s: accepted in the stable dialect", name)
		}
	}
	s := alice.slider(object{"lists": object{"a": object{"ranges": [][]int64{{0, 1<<53 - 1}, {5, 1<<62 + 5}}, "timeline_limit": 1 << 40, "required_state": [][]string{{"*", "*"}}}}})
	if a := s.next(); len(a.Rooms) != 1 || len(a.room(room).Timeline) == 0 {
		t.Errorf("ranges beyond all rooms: %s", a.raw)
	}
	for i := range 200 { // ever new configs: what is remembered stays small
		s.body = window(9, 1, []string{fmt.Sprint("t", i, strings.Repeat("x", 200)), "*"}, []string{"m.room.create", ""})
		s.next()
	}
	if _, bytes := r.sync.ConnectionSize(alice.caller.UserNID); bytes > 32<<10 {
		t.Errorf("a connection takes %d bytes", bytes)
	}
	s.quiet()
}

// Two processes on one database: a connection goes on at the other one, and back.
func TestSlidingTwoNodes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		if !storage.IsPostgres(url) {
			t.Skip("SQLite serves one process")
		}
		one, two := newRig(t, url), newRig(t, url)
		alice, bob := one.user("alice"), one.user("bob")
		room := alice.public()
		bob.join(room)
		here := bob.slider(window(9, 5))
		here.next()
		for _, body := range []string{"a", "b", "c", "d"} {
			alice.say(room, body)
			there := here.on(two)
			if body == "c" {
				there = here // lost at the one, asked again at the other
				here.ask()
			}
			var got []string
			for !slices.Contains(got, body) { // what the other node had sent may come once more first
				a, err := there.try(eventually)
				if err != nil {
					t.Fatal(err)
				}
				if there.pos = a.Pos; a.Rooms[room.ID()] == nil {
					t.Fatalf("%s does not come: %s", body, a.raw)
				}
				got = a.room(room).bodies()
			}
			here.pos = there.pos
		}
	})
}

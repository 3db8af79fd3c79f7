package rooms_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/storage"
)

func (r *rig) caller(t testing.TB, user matrix.UserID) matrix.Caller {
	t.Helper()
	nid, err := r.db.UserNID(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return matrix.Caller{User: user, UserNID: nid, DeviceNID: nid, Server: user.Server()}
}

// account makes the user one of our own.
func (r *rig) account(t testing.TB, user matrix.UserID) {
	t.Helper()
	c := &storage.Change{}
	c.Guard(storage.InsertUser(storage.User{NID: r.caller(t, user).UserNID, ID: user, Tenant: 1}))
	if err := r.db.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) create(t testing.TB, q *rooms.CreateRequest) *rooms.Room {
	t.Helper()
	room, err := r.rooms.Create(t.Context(), r.caller(t, alice), q)
	if err != nil {
		t.Fatal(err)
	}
	return room
}

// A room is made with the events that its preset stands for, in the specification's order, in every version.
func TestCreate(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		eachVersion(t, func(t *testing.T, version string) {
			name := "one" + version
			room := r.create(t, &rooms.CreateRequest{Preset: "public_chat", Name: "Name", Topic: "Topic", RoomAliasName: name,
				RoomVersion: version, Invite: []matrix.UserID{"@bob:home.example"}})
			var types []string
			page, err := r.rooms.Messages(t.Context(), room, alice, rooms.MessagesRequest{Limit: 50})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				types = append(types, e.Type)
			}
			want := []string{"m.room.create", "m.room.member", "m.room.power_levels", "m.room.canonical_alias", "m.room.join_rules",
				"m.room.history_visibility", "m.room.name", "m.room.topic", "m.room.member"}
			if !slices.Equal(types, want) {
				t.Errorf("events %v, want %v", types, want)
			}
			found, err := r.rooms.ResolveAlias(t.Context(), matrix.RoomAlias("#"+name+":home.example"))
			if err != nil || found.ID() != room.ID() {
				t.Errorf("the alias leads to %v, %v", found, err)
			}
			_, err = r.rooms.Create(t.Context(), r.caller(t, alice), &rooms.CreateRequest{RoomAliasName: name, RoomVersion: version})
			if !matrix.HasCode(err, matrix.CodeRoomInUse) {
				t.Errorf("a taken alias: %v", err)
			}
		})
	})
}

func TestCreateRefused(t *testing.T) {
	r := newRig(t, sqliteURL(t), nil)
	for code, q := range map[string]rooms.CreateRequest{
		matrix.CodeUnsupportedRoomVersion: {RoomVersion: "99"},
		matrix.CodeInvalidParam:           {Preset: "nonsense"},
		matrix.CodeThreepidDenied:         {Invite3PID: []json.RawMessage{[]byte("{}")}},
		matrix.CodeBadJSON:                {InitialState: []rooms.InitialState{{Type: "m.room.name", Content: []byte(`"x"`)}}},
	} {
		if _, err := r.rooms.Create(t.Context(), r.caller(t, alice), &q); !matrix.HasCode(err, code) {
			t.Errorf("%+v: %v, want %s", q, err, code)
		}
	}
}

// The transitions of a membership under each join rule. Spec: client-server-api/#room-membership
func TestMembershipTransitions(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		r.account(t, alice) // whose right to invite lets others into the restricted room
		const bob = matrix.UserID("@bob:home.example")
		type step struct {
			what string
			ok   bool
		}
		for rule, steps := range map[string][]step{
			"public":     {{"join", true}, {"join", true}, {"leave", true}, {"leave", true}, {"ban", true}, {"join", false}, {"unban", true}, {"join", true}, {"kick", true}, {"kick", false}},
			"invite":     {{"join", false}, {"knock", false}, {"invite", true}, {"join", true}, {"invite", false}, {"leave", true}, {"join", false}, {"unban", false}},
			"knock":      {{"join", false}, {"knock", true}, {"join", false}, {"invite", true}, {"knock", false}, {"leave", true}, {"knock", true}, {"kick", true}},
			"restricted": {{"join", false}, {"enter hall", true}, {"join", true}, {"leave", true}, {"join", true}},
		} {
			hall := r.create(t, &rooms.CreateRequest{Preset: "public_chat"})
			content, _ := json.Marshal(object{"join_rule": rule, "allow": []object{{"type": "m.room_membership", "room_id": hall.ID()}}})
			room := r.create(t, &rooms.CreateRequest{InitialState: []rooms.InitialState{{Type: "m.room.join_rules", Content: content}}})
			for i, s := range steps {
				m := rooms.MembershipChange{Room: room, Sender: bob, Target: bob}
				var err error
				switch s.what {
				case "join":
					err = r.rooms.Join(t.Context(), m)
				case "leave":
					err = r.rooms.Leave(t.Context(), m)
				case "knock":
					err = r.rooms.Knock(t.Context(), m)
				case "enter hall":
					m.Room = hall
					err = r.rooms.Join(t.Context(), m)
				default:
					m.Sender = alice
					err = map[string]func() error{
						"invite": func() error { return r.rooms.Invite(t.Context(), m) },
						"kick":   func() error { return r.rooms.Kick(t.Context(), m) },
						"ban":    func() error { return r.rooms.Ban(t.Context(), m) },
						"unban":  func() error { return r.rooms.Unban(t.Context(), m) },
					}[s.what]()
				}
				if (err == nil) != s.ok {
					t.Fatalf("%s room, step %d %s: %v, want ok %v", rule, i, s.what, err, s.ok)
				}
			}
		}
	})
}

// Who sees what: the four visibilities against a member who came, left and came back.
func TestHistoryVisibility(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		const bob, eve = matrix.UserID("@bob:home.example"), matrix.UserID("@eve:home.example")
		for visibility, want := range map[string]string{
			"world_readable": "before invited joined left", "shared": "before invited joined", "invited": "invited joined", "joined": "joined",
		} {
			content, _ := json.Marshal(object{"history_visibility": visibility})
			room := r.create(t, &rooms.CreateRequest{InitialState: []rooms.InitialState{{Type: "m.room.history_visibility", Content: content}}})
			m := rooms.MembershipChange{Room: room, Sender: alice, Target: bob}
			r.must(t, room, text(alice, "before"))
			if err := r.rooms.Invite(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			r.must(t, room, text(alice, "invited"))
			m.Sender = bob
			if err := r.rooms.Join(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			r.must(t, room, text(alice, "joined"))
			if err := r.rooms.Leave(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			r.must(t, room, text(alice, "left"))
			if got := r.reads(t, room, bob); got != want {
				t.Errorf("%s: who left reads %q, want %q", visibility, got, want)
			}
			_, err := r.rooms.Messages(t.Context(), room, eve, rooms.MessagesRequest{Limit: 50})
			if open := visibility == "world_readable"; open != (err == nil) {
				t.Errorf("%s: a stranger reads: %v", visibility, err)
			}
			if visibility == "shared" {
				r.must(t, room, state(alice, "m.room.join_rules", "", object{"join_rule": "public"}))
				if err := r.rooms.Join(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				if got := r.reads(t, room, bob); got != "before invited joined left" {
					t.Errorf("who came back to a shared room reads %q", got)
				}
			}
		}
	})
}

// reads lists the messages that a user reads, oldest first.
func (r *rig) reads(t testing.TB, room *rooms.Room, user matrix.UserID) string {
	t.Helper()
	page, err := r.rooms.Messages(t.Context(), room, user, rooms.MessagesRequest{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, e := range page.Events {
		if e.Type == "m.room.message" {
			var c struct{ Body string }
			_ = json.Unmarshal(e.Content, &c)
			if out != "" {
				out += " "
			}
			out += c.Body
		}
	}
	return out
}

// Pages of any size, in both directions, hold each event exactly once.
func TestPagesAreExact(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.create(t, &rooms.CreateRequest{})
		for i := range 30 {
			r.must(t, room, text(alice, fmt.Sprint(i)))
		}
		var want []matrix.EventID
		for _, size := range []int{1, 2, 7, 36, 1000} {
			for _, backward := range []bool{false, true} {
				got := r.walk(t, room, size, backward)
				if backward {
					slices.Reverse(got)
				}
				if want == nil {
					want = got
				}
				if !slices.Equal(got, want) || len(got) != 36 {
					t.Errorf("pages of %d, backward %v: %d events, want 36 as in the first walk", size, backward, len(got))
				}
			}
		}
	})
}

func (r *rig) walk(t testing.TB, room *rooms.Room, size int, backward bool) []matrix.EventID {
	t.Helper()
	var ids []matrix.EventID
	q := rooms.MessagesRequest{Limit: size, Backward: backward}
	for range 100 {
		page, err := r.rooms.Messages(t.Context(), room, alice, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			ids = append(ids, e.ID)
		}
		if page.End == nil {
			return ids
		}
		q.From = page.End
	}
	t.Fatal("the walk does not end")
	return nil
}

// One transaction id makes one event, however often and at how many places at once it is sent.
func TestTransactionIsOneEvent(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.create(t, &rooms.CreateRequest{})
		device := r.caller(t, alice).DeviceNID
		ids := make([]matrix.EventID, 16)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() {
				id, err := r.rooms.Send(t.Context(), rooms.SendRequest{Room: room, Sender: alice, Type: "m.room.message",
					Content: []byte(`{"body":"x"}`), Txn: rooms.NewTransaction(device, room.ID(), "send/m.room.message", "t1")})
				if err != nil {
					t.Error(err)
				}
				ids[i] = id
			})
		}
		all.Wait()
		for _, id := range ids {
			if id != ids[0] || id == "" {
				t.Fatalf("one transaction made several events: %v", ids)
			}
		}
		other, err := r.rooms.Send(t.Context(), rooms.SendRequest{Room: room, Sender: alice, Type: "m.room.message",
			Content: []byte(`{"body":"x"}`), Txn: rooms.NewTransaction(device, room.ID(), "send/m.room.message", "t2")})
		if err != nil || other == ids[0] {
			t.Errorf("another transaction: %v, %v", other, err)
		}
	})
}

// Equal rooms made at once are different rooms, also where the id is the hash of the create event.
func TestEqualRoomsAreTwo(t *testing.T) {
	r := newRig(t, sqliteURL(t), nil)
	var mu sync.Mutex
	seen := map[matrix.RoomID]bool{}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			room, err := r.rooms.Create(t.Context(), r.caller(t, alice), &rooms.CreateRequest{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[room.ID()] = true
		})
	}
	all.Wait()
	if len(seen) != 50 {
		t.Errorf("50 creations made %d rooms", len(seen))
	}
}

// A transaction id is known again by a process that was not there when it was used, even if its sender is out by now.
func TestTransactionOutlivesTheProcess(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		room := r.create(t, &rooms.CreateRequest{Preset: "public_chat"})
		const bob = matrix.UserID("@bob:home.example")
		m := rooms.MembershipChange{Room: room, Sender: bob, Target: bob}
		if err := r.rooms.Join(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		send := func(s *rooms.Service, room *rooms.Room) (matrix.EventID, error) {
			return s.Send(t.Context(), rooms.SendRequest{Room: room, Sender: bob, Type: "m.room.message", Content: []byte(`{"body":"x"}`),
				Txn: rooms.NewTransaction(r.caller(t, bob).DeviceNID, room.ID(), "send/m.room.message", "t1")})
		}
		first, err := send(r.rooms, room)
		if err != nil {
			t.Fatal(err)
		}
		m.Sender = alice
		if err := r.rooms.Kick(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		later, err := rooms.New(t.Context(), rooms.Options{DB: r.db, Bus: bus.New[storage.Batch](), Keys: signs(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer later.Close()
		same, err := later.Room(t.Context(), room.ID())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := send(later, same); err != nil || again != first {
			t.Errorf("%s, %v; want %s", again, err, first)
		}
	})
}

func signs(t testing.TB) rooms.Keys {
	t.Helper()
	key, err := matrix.GenerateSigningKey("home.example")
	if err != nil {
		t.Fatal(err)
	}
	return keyring{key}
}

// Who forgets a room while he is invited again has forgotten it before, or is told that he is to leave it: never that something failed.
func TestForgottenWhileInvitedAgain(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		gone := matrix.UserID("@gone:home.example")
		r := newRig(t, url, nil)
		r.account(t, alice)
		r.account(t, gone)
		room := r.publicRoom(t, "11")
		for range 60 {
			var wg sync.WaitGroup
			var forgotten, invited error
			wg.Go(func() {
				invited = r.rooms.Invite(t.Context(), rooms.MembershipChange{Room: room, Sender: alice, Target: gone})
			})
			wg.Go(func() { forgotten = r.rooms.Forget(t.Context(), room, gone) })
			wg.Wait()
			if invited != nil {
				t.Fatal(invited)
			}
			if forgotten != nil && matrix.AsError(forgotten).Status >= 500 {
				t.Fatalf("forget: %v", forgotten)
			}
			if err := r.rooms.Leave(t.Context(), rooms.MembershipChange{Room: room, Sender: gone, Target: gone}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

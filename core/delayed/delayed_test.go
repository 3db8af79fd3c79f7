package delayed_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"rempart/core/delayed"
	"rempart/core/rooms"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

const (
	alice = matrix.UserID("@alice:hs1")
	bob   = matrix.UserID("@bob:hs1")
)

// keys has one key for hs1.
type keys struct{ key matrix.SigningKey }

func (k keys) SigningKey(name matrix.ServerName) (matrix.SigningKey, bool) {
	return k.key, name == "hs1"
}

// node is one process' parts on a database.
type node struct {
	t     *testing.T
	db    *storage.DB
	rooms *rooms.Service
}

func newNode(t *testing.T, url string) *node {
	t.Helper()
	events := bus.New[storage.Batch]()
	n := &node{t: t, db: storagetest.Open(t, storage.Options{URL: url, Publish: events.Publish})}
	key, err := matrix.GenerateSigningKey("hs1")
	if err != nil {
		t.Fatal(err)
	}
	if n.rooms, err = rooms.New(t.Context(), rooms.Options{DB: n.db, Bus: events, Keys: keys{key}}); err != nil {
		t.Fatal(err)
	}
	return n
}

// begin starts to send; stop ends it.
func (n *node) begin() *delayed.Service {
	return delayed.New(n.t.Context(), delayed.Options{DB: n.db, Rooms: n.rooms})
}

func (n *node) account(id matrix.UserID) matrix.Caller {
	n.t.Helper()
	nid, err := n.db.UserNID(n.t.Context(), id)
	if err != nil {
		n.t.Fatal(err)
	}
	c := &storage.Change{}
	c.Guard(storage.InsertUser(storage.User{NID: nid, ID: id, Tenant: 1}))
	if err := n.db.Commit(n.t.Context(), c); err != nil {
		n.t.Fatal(err)
	}
	return matrix.Caller{User: id, UserNID: nid, DeviceNID: nid, Server: "hs1", Tenant: 1}
}

func (n *node) room(c matrix.Caller, invite ...matrix.UserID) *rooms.Room {
	n.t.Helper()
	room, err := n.rooms.Create(n.t.Context(), c, &rooms.CreateRequest{Preset: "public_chat"})
	if err != nil {
		n.t.Fatal(err)
	}
	for _, u := range invite {
		if err := n.rooms.Join(n.t.Context(), rooms.MembershipChange{Room: room, Sender: u, Target: u}); err != nil {
			n.t.Fatal(err)
		}
	}
	return room
}

func (n *node) schedule(s *delayed.Service, c matrix.Caller, q delayed.Request) string {
	n.t.Helper()
	if q.Content == nil {
		q.Content = json.RawMessage(`{"body":"later"}`)
	}
	id, err := s.Schedule(n.t.Context(), c, q)
	if err != nil {
		n.t.Fatal(err)
	}
	return id
}

// settle waits until what is committed is to be read. Why: storage says that an event was sent some moments before this process, or
// another node's, has heard of it. A commit of its own ends behind all of it.
func (n *node) settle(c matrix.Caller) {
	n.t.Helper()
	if _, err := n.rooms.Create(n.t.Context(), c, &rooms.CreateRequest{}); err != nil {
		n.t.Fatal(err)
	}
}

// ended waits until a delayed event has been sent, cancelled or refused. The test's own deadline ends a wait in vain.
func (n *node) ended(s *delayed.Service, c matrix.Caller, id string) delayed.View {
	n.t.Helper()
	for {
		v, err := s.Get(n.t.Context(), c.UserNID, id)
		if err != nil {
			n.t.Fatal(err)
		}
		if v.Finalised != 0 {
			return v
		}
	}
}

// messages lists the bodies of a room's messages of the type, oldest first.
func (n *node) messages(room *rooms.Room, u matrix.UserID) []string {
	n.t.Helper()
	page, err := n.rooms.Messages(n.t.Context(), room, u, rooms.MessagesRequest{Limit: 900})
	if err != nil {
		n.t.Fatal(err)
	}
	var out []string
	for _, e := range page.Events {
		var c struct{ Body string }
		if e.Type == "m.room.message" && json.Unmarshal(e.Content, &c) == nil {
			out = append(out, c.Body)
		}
	}
	return out
}

const never = time.Hour

// What waits when a process ends is sent by the next one, in the order of its times, once.
func TestEventsOutliveTheProcess(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		one := newNode(t, url)
		c := one.account(alice)
		room := one.room(c)
		asked := time.Now()
		s := delayed.New(t.Context(), delayed.Options{DB: one.db, Rooms: one.rooms, Clock: func() time.Time { return asked }})
		s.Close() // a process that ends before anything is due
		var ids []string
		for i, delay := range []int{3, 1, 2} {
			ids = append(ids, one.schedule(s, c, delayed.Request{Room: room, Type: "m.room.message", Delay: time.Duration(delay) * time.Millisecond,
				Content: json.RawMessage(fmt.Sprintf(`{"body":"%d"}`, i))}))
		}
		if got := one.messages(room, alice); len(got) != 0 {
			t.Fatalf("sent by a closed service: %q", got)
		}
		next := one.begin()
		defer next.Close()
		for _, id := range ids {
			if v := one.ended(next, c, id); v.Event == "" || len(v.Error) != 0 {
				t.Errorf("%+v was not sent", v)
			}
		}
		one.settle(c)
		if got := fmt.Sprint(one.messages(room, alice)); got != "[1 2 0]" {
			t.Errorf("sent %s, want [1 2 0]", got)
		}
	})
}

// Two nodes look at the same events; each is sent once.
func TestTwoNodesSendOnce(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		if !storage.IsPostgres(url) {
			t.Skip("two nodes share a PostgreSQL")
		}
		one, two := newNode(t, url), newNode(t, url)
		c := one.account(alice)
		room := one.room(c)
		a, b := one.begin(), two.begin()
		defer a.Close()
		defer b.Close()
		var ids []string
		for i := range 40 {
			ids = append(ids, one.schedule([]*delayed.Service{a, b}[i%2], c, delayed.Request{Room: room, Type: "m.room.message",
				Delay: time.Duration(i+1) * time.Millisecond}))
		}
		for _, id := range ids {
			if v := one.ended(a, c, id); v.Event == "" {
				t.Errorf("not sent: %s", v.Error)
			}
		}
		one.settle(c)
		if got := one.messages(room, alice); len(got) != len(ids) {
			t.Errorf("%d messages of %d delayed events", len(got), len(ids))
		}
	})
}

// Who may write is judged when the time has come, and what was refused then says why.
func TestPowerIsJudgedWhenTheTimeComes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		n := newNode(t, url)
		a, b := n.account(alice), n.account(bob)
		room := n.room(a, bob)
		s := n.begin()
		defer s.Close()
		key := ""
		topic := delayed.Request{Room: room, Type: "m.room.topic", StateKey: &key, Content: json.RawMessage(`{"topic":"x"}`), Delay: time.Millisecond}
		id := n.schedule(s, b, topic)
		v := n.ended(s, b, id)
		var why struct{ Errcode string }
		if json.Unmarshal(v.Error, &why) != nil || why.Errcode != matrix.CodeForbidden || v.Event != "" {
			t.Errorf("bob may not set the topic: %+v", v)
		}
		topic.Delay = never
		id = n.schedule(s, b, topic)
		if err := s.Manage(t.Context(), id, delayed.Send); !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("sent at once: %v", err)
		}
		if v, _ := s.Get(t.Context(), b.UserNID, id); v.Finalised != 0 {
			t.Error("what may not be sent now must keep waiting")
		}
		levels := `{"users":{"@alice:hs1":100},"events":{"m.room.topic":0}}`
		if _, err := n.rooms.Send(t.Context(), rooms.SendRequest{Room: room, Sender: alice, Type: "m.room.power_levels", StateKey: &key,
			Content: json.RawMessage(levels)}); err != nil && room.Version().ID != "12" {
			t.Fatal(err)
		} else if err != nil {
			levels = `{"events":{"m.room.topic":0}}`
			if _, err := n.rooms.Send(t.Context(), rooms.SendRequest{Room: room, Sender: alice, Type: "m.room.power_levels", StateKey: &key,
				Content: json.RawMessage(levels)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Manage(t.Context(), id, delayed.Send); err != nil {
			t.Errorf("now he may: %v", err)
		}
	})
}

// State that somebody else set meanwhile is not overwritten; one's own is.
func TestStateOfOthersWins(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		n := newNode(t, url)
		a, b := n.account(alice), n.account(bob)
		room := n.room(a, bob)
		s := n.begin()
		s.Close()
		key, other := "", "k"
		topic := delayed.Request{Room: room, Type: "m.room.topic", StateKey: &key, Content: json.RawMessage(`{"topic":"x"}`), Delay: time.Millisecond}
		mine := n.schedule(s, a, topic)
		theirs := n.schedule(s, b, topic)
		topic.StateKey = &other
		unset := n.schedule(s, a, topic)
		if _, err := n.rooms.Send(t.Context(), rooms.SendRequest{Room: room, Sender: alice, Type: "m.room.topic", StateKey: &key,
			Content: json.RawMessage(`{"topic":"between"}`)}); err != nil {
			t.Fatal(err)
		}
		s = n.begin()
		defer s.Close()
		var why struct{ Errcode string }
		if v := n.ended(s, b, theirs); json.Unmarshal(v.Error, &why) != nil || why.Errcode != "M_CANCELLED_BY_STATE_UPDATE" {
			t.Errorf("bob's delayed topic against alice's newer one: %+v", v)
		}
		for _, id := range []string{mine, unset} {
			if v := n.ended(s, a, id); v.Event == "" {
				t.Errorf("alice's own was not sent: %s", v.Error)
			}
		}
	})
}

func TestManagement(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		n := newNode(t, url)
		c := n.account(alice)
		room := n.room(c)
		s := n.begin()
		defer s.Close()
		q := delayed.Request{Room: room, Type: "m.room.message", Delay: never, Txn: rooms.NewTransaction(c.DeviceNID, room.ID(), "send/m.room.message", "t1")}
		gone := n.schedule(s, c, q)
		if again := n.schedule(s, c, q); again != gone {
			t.Error("a repeated transaction id scheduled another event")
		}
		before, _ := s.Get(t.Context(), c.UserNID, gone)
		if err := s.Manage(t.Context(), gone, delayed.Restart); err != nil {
			t.Error(err)
		}
		if after, _ := s.Get(t.Context(), c.UserNID, gone); after.ScheduledAt < before.ScheduledAt || after.Finalised != 0 {
			t.Errorf("restarted: %+v", after)
		}
		q.Txn = nil
		sent := n.schedule(s, c, q)
		for _, step := range []struct {
			id     string
			act    delayed.Act
			status int // of a refusal, all of which are M_NOT_FOUND
		}{
			{gone, delayed.Cancel, 0}, {gone, delayed.Cancel, 0}, {gone, delayed.Restart, 409}, {gone, delayed.Send, 409},
			{sent, delayed.Send, 0}, {sent, delayed.Send, 0}, {sent, delayed.Cancel, 409}, {sent, delayed.Restart, 409},
			{"nothing", delayed.Cancel, 404},
		} {
			err := s.Manage(t.Context(), step.id, step.act)
			var refused *matrix.Error
			if errors.As(err, &refused) && (refused.Status != step.status || refused.Code != matrix.CodeNotFound) || (err == nil) != (step.status == 0) {
				t.Errorf("%s of %s: %v, want %d", step.act, step.id, err, step.status)
			}
		}
		if got := n.messages(room, alice); len(got) != 1 {
			t.Errorf("%d messages, want the one that was sent", len(got))
		}
		if list, err := s.List(t.Context(), c.UserNID); err != nil || len(list) != 0 {
			t.Errorf("still waiting: %+v, %v", list, err)
		}
		if _, err := s.Get(t.Context(), c.UserNID+1, gone); !matrix.HasCode(err, matrix.CodeNotFound) {
			t.Errorf("somebody else's: %v", err)
		}
	})
}

func TestLimitsOfWhatWaits(t *testing.T) {
	n := newNode(t, t.TempDir()+"/rempart.db")
	c := n.account(alice)
	room := n.room(c)
	s := n.begin()
	defer s.Close()
	q := delayed.Request{Room: room, Type: "m.room.message", Content: json.RawMessage(`{}`), Delay: delayed.MaxDelay + 1}
	if _, err := s.Schedule(t.Context(), c, q); !matrix.HasCode(err, matrix.CodeForbidden) {
		t.Errorf("too long a delay: %v", err)
	}
	for _, d := range []time.Duration{0, -1} {
		q.Delay = d
		if _, err := s.Schedule(t.Context(), c, q); !matrix.HasCode(err, matrix.CodeInvalidParam) {
			t.Errorf("a delay of %v: %v", d, err)
		}
	}
	q.Delay = never
	for range delayed.MaxScheduled {
		n.schedule(s, c, q)
	}
	if _, err := s.Schedule(t.Context(), c, q); !matrix.HasCode(err, matrix.CodeLimitExceeded) {
		t.Errorf("one too many: %v", err)
	}
}

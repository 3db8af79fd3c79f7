package sync_test

import (
	"encoding/json"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"rempart/core/push"
	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/internal/bus"
	"rempart/internal/matrix"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

type keyring struct{ key matrix.SigningKey }

func (k keyring) SigningKey(matrix.ServerName) (matrix.SigningKey, bool) { return k.key, true }

// rig is a sync service over real rooms and a real database.
type rig struct {
	t     testing.TB
	db    *storage.DB
	rooms *rooms.Service
	push  *push.Service
	sync  *syncing.Service
	bus   *bus.Bus[storage.Batch]

	stopped bool
	// first is called with each batch before anybody hears of it, once it is set.
	first atomic.Pointer[func()]
}

type object = map[string]any

func newRig(t testing.TB, url string) *rig {
	t.Helper()
	return newRigAt(t, url, nil)
}

func newRigAt(t testing.TB, url string, clock func() time.Time) *rig {
	t.Helper()
	b := bus.New[storage.Batch]()
	r := &rig{t: t, bus: b}
	b.Subscribe(func(storage.Batch) {
		if fn := r.first.Load(); fn != nil {
			(*fn)()
		}
	})
	var err error
	signals := bus.New[[]byte]()
	if r.db, err = storage.Open(t.Context(), storage.Options{URL: url, Publish: b.Publish, Signal: signals.Publish}); err != nil {
		t.Fatal(err)
	}
	key, err := matrix.GenerateSigningKey("home.example")
	if err != nil {
		t.Fatal(err)
	}
	if r.push, err = push.New(t.Context(), push.Options{DB: r.db, Bus: b}); err != nil {
		t.Fatal(err)
	}
	if r.rooms, err = rooms.New(t.Context(), rooms.Options{DB: r.db, Bus: b, Keys: keyring{key}, Push: r.push}); err != nil {
		t.Fatal(err)
	}
	r.sync = syncing.New(syncing.Options{DB: r.db, Rooms: r.rooms, Push: r.push, Bus: b, Signals: signals, Clock: clock})
	t.Cleanup(r.stop)
	return r
}

// stop ends the process; a second call does nothing.
func (r *rig) stop() {
	if r.stopped {
		return
	}
	r.stopped = true
	r.sync.Close()
	r.rooms.Close()
	if err := r.db.Close(); err != nil {
		r.t.Error(err)
	}
}

// on is the same client at another process.
func (c *client) on(r *rig) *client {
	other := *c
	other.rig = r
	return &other
}

func each(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	pgtest.Each(t, func(t *testing.T, url string) { fn(t, newRig(t, url)) })
}

func sqliteURL(t testing.TB) string { return filepath.Join(t.TempDir(), "rempart.db") }

// user makes an account with one device.
func (r *rig) user(name string) *client {
	r.t.Helper()
	id := matrix.UserID("@" + name + ":home.example")
	nid, err := r.db.UserNID(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	change := &storage.Change{}
	change.Guard(storage.InsertUser(storage.User{NID: nid, ID: id, Tenant: 1}))
	device, err := r.db.NewID(r.t.Context(), storage.DeviceNIDs)
	if err != nil {
		r.t.Fatal(err)
	}
	change.Guard(storage.InsertDevice(storage.Device{NID: device, User: nid, ID: "DEV"}, &device))
	if err := r.db.Commit(r.t.Context(), change); err != nil {
		r.t.Fatal(err)
	}
	return &client{rig: r, caller: matrix.Caller{Tenant: 1, User: id, UserNID: nid, Device: "DEV", DeviceNID: device, Server: "home.example"}}
}

// client is a user's device as it sees the server.
type client struct {
	*rig
	caller   matrix.Caller
	since    string
	filter   string
	after    bool // use_state_after
	unstable bool // asks for it by its old name
}

func (c *client) id() matrix.UserID { return c.caller.User }

func (c *client) create(q *rooms.CreateRequest) *rooms.Room {
	c.t.Helper()
	room, err := c.rooms.Create(c.t.Context(), c.caller, q)
	if err != nil {
		c.t.Fatal(err)
	}
	return room
}

func (c *client) public() *rooms.Room {
	c.t.Helper()
	return c.create(&rooms.CreateRequest{Preset: "public_chat"})
}

func (c *client) change(what func(*rooms.Service, rooms.MembershipChange) error, room *rooms.Room, target matrix.UserID) {
	c.t.Helper()
	if err := what(c.rooms, rooms.MembershipChange{Room: room, Sender: c.id(), Target: target}); err != nil {
		c.t.Fatal(err)
	}
}

func join(s *rooms.Service, m rooms.MembershipChange) error   { return s.Join(ctx, m) }
func leave(s *rooms.Service, m rooms.MembershipChange) error  { return s.Leave(ctx, m) }
func invite(s *rooms.Service, m rooms.MembershipChange) error { return s.Invite(ctx, m) }
func kick(s *rooms.Service, m rooms.MembershipChange) error   { return s.Kick(ctx, m) }
func ban(s *rooms.Service, m rooms.MembershipChange) error    { return s.Ban(ctx, m) }

func (c *client) join(room *rooms.Room)  { c.t.Helper(); c.change(join, room, c.id()) }
func (c *client) leave(room *rooms.Room) { c.t.Helper(); c.change(leave, room, c.id()) }

func (c *client) send(room *rooms.Room, typ string, content object) matrix.EventID {
	c.t.Helper()
	raw, _ := json.Marshal(content)
	id, err := c.rooms.Send(ctx, rooms.SendRequest{Room: room, Sender: c.id(), Type: typ, Content: raw})
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

func (c *client) say(room *rooms.Room, body string) matrix.EventID {
	c.t.Helper()
	return c.send(room, "m.room.message", object{"msgtype": "m.text", "body": body})
}

func (c *client) set(room *rooms.Room, typ, key string, content object) matrix.EventID {
	c.t.Helper()
	raw, _ := json.Marshal(content)
	id, err := c.rooms.Send(ctx, rooms.SendRequest{Room: room, Sender: c.id(), Type: typ, StateKey: &key, Content: raw})
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// ask syncs once with the client's token, without keeping the new one.
func (c *client) ask(q syncing.Request) *answer {
	c.t.Helper()
	var err error
	if q.Filter, err = c.sync.FilterOf(ctx, &c.caller, c.filter); err != nil {
		c.t.Fatal(err)
	}
	q.Since, q.StateAfter, q.StateAfterUnstable = c.since, c.after, c.unstable
	a, err := c.sync.Sync(ctx, &c.caller, q)
	if err != nil {
		c.t.Fatal(err)
	}
	defer a.Release()
	out := &answer{t: c.t}
	if err := json.Unmarshal(a.Bytes(), out); err != nil {
		c.t.Fatalf("the answer is not JSON: %v\n%s", err, a.Bytes())
	}
	out.raw = string(a.Bytes())
	return out
}

// next syncs and keeps the token.
func (c *client) next() *answer {
	c.t.Helper()
	a := c.ask(syncing.Request{})
	c.since = a.NextBatch
	return a
}

// nextOfRooms waits for what comes of rooms, past presence, of which a node hears when it hears of it.
func (c *client) nextOfRooms() *answer {
	c.t.Helper()
	deadline := time.Now().Add(eventually)
	for {
		a := c.ask(syncing.Request{Timeout: time.Until(deadline)})
		c.since = a.NextBatch
		if a.Rooms.Join != nil || time.Now().After(deadline) {
			return a
		}
	}
}

type event struct {
	ID       matrix.EventID `json:"event_id"`
	Type     string         `json:"type"`
	Sender   matrix.UserID  `json:"sender"`
	StateKey *string        `json:"state_key"`
	Content  object         `json:"content"`
	Unsigned object         `json:"unsigned"`
	Sticky   struct {
		Duration int64 `json:"duration_ms"`
	} `json:"msc4354_sticky"`
}

type events struct {
	Events []event `json:"events"`
}

type counts struct {
	Notify    int `json:"notification_count"`
	Highlight int `json:"highlight_count"`
}

type joined struct {
	Timeline struct {
		events
		Limited bool   `json:"limited"`
		Prev    string `json:"prev_batch"`
	} `json:"timeline"`
	State      *events                   `json:"state"`
	StateAfter *events                   `json:"state_after"`
	Unstable   *events                   `json:"org.matrix.msc4222.state_after"`
	Ephemeral  events                    `json:"ephemeral"`
	Account    events                    `json:"account_data"`
	Sticky     events                    `json:"msc4354_sticky"`
	Summary    object                    `json:"summary"`
	Unread     *counts                   `json:"unread_notifications"`
	Threads    map[matrix.EventID]counts `json:"unread_thread_notifications"`
	Invite     events                    `json:"invite_state"`
	Knock      events                    `json:"knock_state"`
}

type answer struct {
	t         testing.TB
	raw       string
	NextBatch string `json:"next_batch"`
	Rooms     struct {
		Join, Invite, Knock, Leave map[matrix.RoomID]*joined
	} `json:"rooms"`
	Account  events                                  `json:"account_data"`
	Presence events                                  `json:"presence"`
	ToDevice events                                  `json:"to_device"`
	Lists    struct{ Changed, Left []matrix.UserID } `json:"device_lists"`
	Keys     map[string]int                          `json:"device_one_time_keys_count"`
}

// joined is the part about a room, which must be there.
func (a *answer) joined(room *rooms.Room) *joined {
	a.t.Helper()
	j := a.Rooms.Join[room.ID()]
	if j == nil {
		a.t.Fatalf("room %s is missing in %s", room.ID(), a.raw)
	}
	return j
}

func (e events) bodies() []string {
	var out []string
	for _, e := range e.Events {
		if body, ok := e.Content["body"].(string); ok {
			out = append(out, body)
		}
	}
	return out
}

func (e events) find(typ, key string) *event {
	for i := range e.Events {
		if k := e.Events[i].StateKey; e.Events[i].Type == typ && (k == nil || *k == key) {
			return &e.Events[i]
		}
	}
	return nil
}

// eventually is how long a sync waits for what comes by itself.
const eventually = 40 * time.Second

package pushers_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"rempart/core/push"
	"rempart/core/pushers"
	"rempart/core/rooms"
	syncing "rempart/core/sync"
	"rempart/gateway/pushgateway"
	"rempart/internal/bus"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/testkit/clock"
	"rempart/internal/testkit/lines"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

type keyring struct{ key matrix.SigningKey }

func (k keyring) SigningKey(matrix.ServerName) (matrix.SigningKey, bool) { return k.key, true }

// rig is one process: pushers over a real database, real rooms and the one way out.
type rig struct {
	t       *testing.T
	db      *storage.DB
	rooms   *rooms.Service
	sync    *syncing.Service
	pushers *pushers.Service
	way     *egress.Egress
	clock   clock.Clock
	log     lines.Buffer
	stopped bool
}

func newRig(t *testing.T, url string, ahead time.Duration) *rig {
	t.Helper()
	b, r := bus.New[storage.Batch](), &rig{t: t}
	r.clock.Set(time.Now().Add(ahead))
	var err error
	if r.db, err = storage.Open(t.Context(), storage.Options{URL: url, Publish: b.Publish}); err != nil {
		t.Fatal(err)
	}
	key, err := matrix.GenerateSigningKey("home.example")
	mx.Must(t, err)
	rules, err := push.New(t.Context(), push.Options{DB: r.db, Bus: b})
	mx.Must(t, err)
	r.rooms, err = rooms.New(t.Context(), rooms.Options{DB: r.db, Bus: b, Keys: keyring{key}, Push: rules})
	mx.Must(t, err)
	r.sync = syncing.New(syncing.Options{DB: r.db, Rooms: r.rooms, Push: rules, Bus: b})
	r.way = egress.New(egress.Options{Judge: egress.AllowHosts("push", []string{"127.0.0.1"}, true)})
	r.pushers = pushers.New(pushers.Options{DB: r.db, Bus: b, Rooms: r.rooms, Rules: rules, Sync: r.sync,
		Gateway: pushgateway.New(r.way, "test"), Plain: true, Clock: r.clock.Now,
		Log: slog.New(slog.NewTextHandler(&r.log, nil))})
	t.Cleanup(func() {
		if r.stop(); t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

// stop ends the process in good order; a second call does nothing.
func (r *rig) stop() {
	if r.stopped {
		return
	}
	r.stopped = true
	r.pushers.Close()
	r.end()
}

// crash ends the process so that nothing more is written.
func (r *rig) crash() {
	r.stopped = true
	_ = r.db.Close()
	r.pushers.Close()
	r.end()
}

func (r *rig) end() {
	r.sync.Close()
	r.rooms.Close()
	_, _ = r.db.Close(), r.way.Close()
}

func each(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	pgtest.Each(t, fn)
}

// client is a user at a process.
type client struct {
	*rig
	caller matrix.Caller
}

func (r *rig) user(name string) *client {
	r.t.Helper()
	id := matrix.UserID("@" + name + ":home.example")
	nid, err := r.db.UserNID(r.t.Context(), id)
	mx.Must(r.t, err)
	change := &storage.Change{}
	change.Guard(storage.InsertUser(storage.User{NID: nid, ID: id, Tenant: 1}))
	device, err := r.db.NewID(r.t.Context(), storage.DeviceNIDs)
	mx.Must(r.t, err)
	change.Guard(storage.InsertDevice(storage.Device{NID: device, User: nid, ID: "DEV"}, &device))
	mx.Must(r.t, r.db.Commit(r.t.Context(), change))
	return &client{r, matrix.Caller{Tenant: 1, User: id, UserNID: nid, Device: "DEV", DeviceNID: device, Server: "home.example"}}
}

// on is the same user at another process.
func (c *client) on(r *rig) *client { return &client{r, c.caller} }

// room makes a room of the user and others.
func (c *client) room(others ...*client) *rooms.Room {
	c.t.Helper()
	room, err := c.rooms.Create(c.t.Context(), c.caller, &rooms.CreateRequest{Preset: "public_chat"})
	mx.Must(c.t, err)
	for _, o := range others {
		mx.Must(c.t, c.rooms.Join(c.t.Context(), rooms.MembershipChange{Room: room, Sender: o.caller.User, Target: o.caller.User}))
	}
	return room
}

// say sends a message into a room, which may be known from another process.
func (c *client) say(room *rooms.Room, text string) string {
	c.t.Helper()
	here, err := c.rooms.RoomByNID(c.t.Context(), room.NID())
	mx.Must(c.t, err)
	raw, err := json.Marshal(map[string]any{"msgtype": "m.text", "body": text})
	mx.Must(c.t, err)
	id, err := c.rooms.Send(c.t.Context(), rooms.SendRequest{Room: here, Sender: c.caller.User, Type: "m.room.message", Content: raw})
	mx.Must(c.t, err)
	return string(id)
}

// set sets a pusher of the user at a gateway.
func (c *client) set(g *gateway, key string) {
	c.t.Helper()
	c.clock.Advance(time.Millisecond) // Why: by the instant it is known that a pusher was set again
	text, kind := "x", "http"
	data, err := json.Marshal(map[string]any{"url": g.url()})
	mx.Must(c.t, err)
	mx.Must(c.t, c.pushers.Set(c.t.Context(), c.caller, pushers.Setting{PushKey: key, AppID: "app", Kind: &kind, AppName: &text, DeviceName: &text,
		Lang: &text, Data: data}))
}

// keys are the push keys that the user has.
func (c *client) keys() (out []string) {
	c.t.Helper()
	list, err := c.pushers.List(c.t.Context(), c.caller)
	mx.Must(c.t, err)
	for _, p := range list {
		out = append(out, p.PushKey)
	}
	return out
}

// said is one request as a gateway got it.
type said struct{ key, event string }

// answer is what a gateway says to one; the zero value takes it.
type answer struct {
	status   int
	header   [2]string
	rejected string
	hold     chan struct{} // it answers when that is closed
}

// gateway is a push gateway on loopback.
type gateway struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	answers func(said) answer
	asked   []said // all requests about events, in order
	taken   []said
	open    int // requests under way, and the most that there ever were
	most    int
	news    chan struct{}
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, news: make(chan struct{}, 1)}
	g.server = httptest.NewServer(g)
	t.Cleanup(g.server.Close)
	return g
}

func (g *gateway) url() string { return g.server.URL + "/_matrix/push/v1/notify" }

// to makes the gateway answer so from now on; nil takes everything.
func (g *gateway) to(answers func(said) answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers = answers
}

// ServeHTTP takes one notification.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Notification struct {
			EventID string `json:"event_id"`
			Devices []struct {
				PushKey string `json:"pushkey"`
			} `json:"devices"`
		} `json:"notification"`
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(raw, &in) != nil || len(in.Notification.Devices) != 1 {
		g.t.Errorf("not a notification: %s", raw)
		return
	}
	one := said{in.Notification.Devices[0].PushKey, in.Notification.EventID}
	a := g.arrived(one)
	if a.hold != nil {
		select {
		case <-a.hold:
		case <-r.Context().Done():
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open--; a.status == 0 && one.event != "" {
		g.taken = append(g.taken, one)
	}
	g.poke()
	if a.status != 0 {
		if a.header[0] != "" {
			w.Header().Set(a.header[0], a.header[1])
		}
		w.WriteHeader(a.status)
		return
	}
	rejected := []string{}
	if a.rejected != "" {
		rejected = append(rejected, a.rejected)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"rejected": rejected})
}

func (g *gateway) arrived(one said) (a answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open++
	g.most = max(g.most, g.open)
	if one.event != "" {
		g.asked = append(g.asked, one)
	}
	if g.answers != nil {
		a = g.answers(one)
	}
	g.poke()
	return a
}

func (g *gateway) poke() {
	select {
	case g.news <- struct{}{}:
	default:
	}
}

// until waits for something to be so of what the gateway saw.
func (g *gateway) until(what string, so func() bool) {
	g.t.Helper()
	end := time.NewTimer(mx.Patience)
	defer end.Stop()
	for {
		g.mu.Lock()
		done := so()
		g.mu.Unlock()
		if done {
			return
		}
		select {
		case <-g.news:
		case <-end.C:
			g.t.Fatalf("%s: not in the end; asked %v", what, g.seen(""))
		}
	}
}

// forget begins to count anew.
func (g *gateway) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked, g.taken = nil, nil
}

// told waits until a push key was told of an event.
func (g *gateway) told(key, event string) {
	g.t.Helper()
	g.until(key+" is told", func() bool { return slices.Contains(g.taken, said{key, event}) })
}

// seen are the events about which the gateway was asked for a push key, "" for all of them, in order.
func (g *gateway) seen(key string) (out []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, one := range g.asked {
		if key == "" || one.key == key {
			out = append(out, one.event)
		}
	}
	return out
}

// settle waits until all that the clock made due has been done: who keeps up is told, the cursor is stored after what is due was
// looked for, and he is told again.
func (c *client) settle(room *rooms.Room, g *gateway, key string) {
	c.t.Helper()
	g.told(key, c.say(room, "settle"))
	pos := c.db.Position()
	eventually(c.t, "the cursor is stored", func() bool {
		at, err := c.db.FindPushCursor(c.t.Context())
		mx.Must(c.t, err)
		return at >= pos
	})
	g.told(key, c.say(room, "settled"))
}

// eventually waits for something to be so that nobody announces.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mx.Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("not so in the end: %s", what)
		case <-tick.C:
		}
	}
}

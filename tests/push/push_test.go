package push

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

const open = "push:\n  allow: [\"127.0.0.1\"]\n  allow_private: true\n"

// each runs a test on a server of each engine.
func each(t *testing.T, extra string, fn func(t *testing.T, s *live.Server)) {
	t.Run("sqlite", func(t *testing.T) { fn(t, live.Start(t, live.Options{Extra: extra})) })
	if pgtest.Wanted() {
		t.Run("postgres", func(t *testing.T) { fn(t, live.Start(t, live.Options{Extra: extra, Postgres: pgtest.New(t)})) })
	}
}

func user(t *testing.T, s *live.Server, name string) *mx.Client {
	t.Helper()
	c, err := mx.Register(context.Background(), s.URL, name)
	mx.Must(t, err)
	return c
}

// pusher is the body that sets a pusher.
func pusher(g *gateway, key string) map[string]any {
	return map[string]any{
		"pushkey": key, "kind": "http", "app_id": "org.example.app", "app_display_name": "App", "device_display_name": "Phone",
		"profile_tag": "tag", "lang": "fr", "data": map[string]any{"url": g.url(), "default_payload": map[string]any{"x": 1}},
	}
}

func set(c *mx.Client, body map[string]any) error {
	return c.Do(context.Background(), "POST", "/_matrix/client/v3/pushers/set", body, nil)
}

func list(t *testing.T, c *mx.Client) []map[string]any {
	t.Helper()
	var res struct {
		Pushers []map[string]any `json:"pushers"`
	}
	mx.Must(t, c.Do(context.Background(), "GET", "/_matrix/client/v3/pushers", nil, &res))
	return res.Pushers
}

// room makes a room of both users.
func room(t *testing.T, owner, guest *mx.Client) string {
	t.Helper()
	id, err := owner.CreateRoom(context.Background(), map[string]any{"preset": "public_chat", "name": "Bureau"})
	mx.Must(t, err)
	mx.Must(t, guest.Join(context.Background(), id))
	return id
}

func say(t *testing.T, c *mx.Client, room, txn string) string {
	t.Helper()
	id, err := c.Send(context.Background(), room, txn, "text "+txn)
	mx.Must(t, err)
	return id
}

func read(t *testing.T, c *mx.Client, room, event string) {
	t.Helper()
	mx.Must(t, c.Do(context.Background(), "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/receipt/m.read/"+url.PathEscape(event),
		map[string]any{}, nil))
}

// A gateway is told that there is something and where, not what, and how much is unread; reading elsewhere tells the count alone,
// and after a restart the count is still right.
func TestTold(t *testing.T) {
	each(t, open, func(t *testing.T, s *live.Server) {
		g := newGateway(t)
		alice, bob := user(t, s, "alice"), user(t, s, "bob")
		id := room(t, bob, alice)
		mx.Must(t, set(alice, pusher(g, "phone")))
		first := say(t, bob, id, "1")
		n := g.event("phone", first)
		d := n.Devices[0]
		if n.RoomID != id || n.Counts.Unread != 1 || n.Content != nil || n.Sender != "" || n.Name != "" || n.Room != "" || n.Type != "" {
			t.Errorf("notification: %+v", n)
		}
		if d.AppID != "org.example.app" || d.TS == 0 || d.Data["url"] != nil || string(d.Data["default_payload"]) != `{"x":1}` {
			t.Errorf("device: %+v", d)
		}
		say(t, alice, id, "own")
		g.count("phone", 0)
		say(t, bob, id, "2")
		third := say(t, bob, id, "3")
		if n := g.event("phone", third); n.Counts.Unread != 2 {
			t.Errorf("unread: %+v", n.Counts)
		}
		s.Kill()
		s.Restart()
		fourth := say(t, bob, id, "4")
		if n := g.event("phone", fourth); n.Counts.Unread != 3 {
			t.Errorf("unread after a restart: %+v", n.Counts)
		}
		read(t, alice, id, fourth)
		g.count("phone", 0)
		if order, _ := g.events("phone"); len(order) != 4 {
			t.Errorf("told of %v: her own message is none of it", order)
		}
	})
}

// What a gateway did not take is told once it is back, in order and all of it, though the server was killed meanwhile and
// there was more than fits into a queue.
func TestNothingLost(t *testing.T) {
	each(t, open, func(t *testing.T, s *live.Server) {
		g := newGateway(t)
		alice, bob := user(t, s, "alice"), user(t, s, "bob")
		id := room(t, bob, alice)
		mx.Must(t, set(alice, pusher(g, "phone")))
		var want []string
		send := func(n int) {
			for range n {
				want = append(want, say(t, bob, id, fmt.Sprint(len(want))))
			}
		}
		send(5)
		g.event("phone", want[4])
		g.answers(http.StatusBadGateway)
		asked := g.requests()
		send(30)
		g.until("a failure", func() bool { return g.asked > asked })
		s.Kill()
		s.Restart()
		send(10)
		g.stop()
		send(5)
		s.Kill()
		g.answers(http.StatusOK)
		g.start()
		hold := make(chan struct{})
		g.holdOn(hold)
		asked = g.requests()
		s.Restart()
		g.until("the next try", func() bool { return g.asked > asked })
		s.Kill() // while the gateway has not answered
		g.holdOn(nil)
		close(hold)
		s.Restart()
		g.event("phone", want[len(want)-1])
		order, times := g.events("phone")
		if !slices.Equal(order, want) {
			t.Errorf("told of %d events, want %d in order\n%v\n%v", len(order), len(want), order, want)
		}
		for id, n := range times {
			if n > 3 { // once more for each kill at most
				t.Errorf("%s was told %d times", id, n)
			}
		}
	})
}

// What was read while the gateway was away is not told any more.
func TestReadMeanwhile(t *testing.T) {
	each(t, open, func(t *testing.T, s *live.Server) {
		g := newGateway(t)
		alice, bob := user(t, s, "alice"), user(t, s, "bob")
		id := room(t, bob, alice)
		mx.Must(t, set(alice, pusher(g, "phone")))
		takeOthers := g.refuseOne(http.StatusServiceUnavailable)
		var last string
		for i := range 20 {
			last = say(t, bob, id, fmt.Sprint(i))
		}
		g.until("the one that is refused", func() bool { return g.asked > 0 })
		read(t, alice, id, last)
		takeOthers()
		next := say(t, bob, id, "next")
		if n := g.event("phone", next); n.Counts.Unread != 1 {
			t.Errorf("unread: %+v", n.Counts)
		}
		if order, _ := g.events("phone"); len(order) != 1 {
			t.Errorf("told of %v", order)
		}
	})
}

// A push key that its gateway rejects is removed; so are those of whoever logs out, and of other users of the same phone.
func TestPushersEnd(t *testing.T) {
	each(t, open, func(t *testing.T, s *live.Server) {
		g := newGateway(t)
		alice, bob := user(t, s, "alice"), user(t, s, "bob")
		id := room(t, bob, alice)
		mx.Must(t, set(alice, pusher(g, "old")))
		mx.Must(t, set(alice, pusher(g, "new")))
		g.mu.Lock()
		g.rejects = "old"
		g.mu.Unlock()
		first := say(t, bob, id, "1")
		g.event("new", first)
		g.event("old", first)
		for n := 2; len(list(t, alice)) != 1; n++ {
			if n == 1000 {
				t.Fatal("a pusher that was rejected stays")
			}
			g.event("new", say(t, bob, id, fmt.Sprint(n)))
		}
		if p := list(t, alice)[0]; p["pushkey"] != "new" || p["lang"] != "fr" || p["profile_tag"] != "tag" || p["org.matrix.msc3881.device_id"] != alice.DeviceID {
			t.Errorf("pusher: %v", p)
		}
		both := pusher(g, "new")
		both["append"] = true
		mx.Must(t, set(bob, both))
		if len(list(t, alice)) != 1 || len(list(t, bob)) != 1 {
			t.Error("append took the other user's pusher")
		}
		mx.Must(t, set(bob, pusher(g, "new")))
		if len(list(t, alice)) != 0 {
			t.Error("the phone is bob's now, and alice is still told there")
		}
		mx.Must(t, set(bob, map[string]any{"pushkey": "new", "app_id": "org.example.app", "kind": nil}))
		if len(list(t, bob)) != 0 {
			t.Error("a pusher that was removed is there")
		}
		mx.Must(t, set(alice, pusher(g, "new")))
		again := login(t, s, "alice")
		mx.Must(t, alice.Do(context.Background(), "POST", "/_matrix/client/v3/logout", map[string]any{}, nil))
		if len(list(t, again)) != 0 {
			t.Error("the pusher of a session that is over is there")
		}
	})
}

func login(t *testing.T, s *live.Server, name string) *mx.Client {
	t.Helper()
	c := &mx.Client{URL: s.URL}
	var res struct {
		AccessToken string `json:"access_token"`
		UserID      string `json:"user_id"`
	}
	mx.Must(t, c.Do(context.Background(), "POST", "/_matrix/client/v3/login", map[string]any{
		"type": "m.login.password", "identifier": map[string]string{"type": "m.id.user", "user": name}, "password": "pass word " + name}, &res))
	c.Token, c.UserID = res.AccessToken, res.UserID
	return c
}

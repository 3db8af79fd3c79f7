package push

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// Where content is admitted, a pusher that does not ask for less is told what an event says and how it sounds.
func TestContent(t *testing.T) {
	s := live.Start(t, live.Options{Extra: open + "  content: true\n"})
	g := newGateway(t)
	alice, bob, carol := user(t, s, "alice"), user(t, s, "bob"), user(t, s, "carol")
	mx.Must(t, bob.Do(context.Background(), "PUT", "/_matrix/client/v3/profile/"+url.PathEscape(bob.UserID)+"/displayname",
		map[string]string{"displayname": "Bob Martin"}, nil))
	id := room(t, bob, alice)
	mx.Must(t, set(alice, pusher(g, "phone")))
	short := pusher(g, "watch")
	short["data"] = map[string]any{"url": g.url(), "format": "event_id_only"}
	mx.Must(t, set(alice, short))
	event := say(t, bob, id, "1")
	n := g.event("phone", event)
	if n.Type != "m.room.message" || n.Sender != bob.UserID || n.Name != "Bob Martin" || n.Room != "Bureau" || string(n.Content) == "" || n.Prio != "high" {
		t.Errorf("notification: %+v", n)
	}
	if n.Devices[0].Tweaks["sound"] != "default" || n.Devices[0].Tweaks["highlight"] != nil {
		t.Errorf("a message between two: %+v", n.Devices[0].Tweaks)
	}
	w := g.event("watch", event)
	if w.Type != "" || w.Sender != "" || w.Content != nil || w.Devices[0].Tweaks != nil || string(w.Devices[0].Data["format"]) != `"event_id_only"` {
		t.Errorf("event_id_only: %+v", w)
	}
	mx.Must(t, carol.Join(context.Background(), id))
	if n := g.event("phone", say(t, bob, id, "2")); n.Prio != "low" || len(n.Devices[0].Tweaks) != 0 {
		t.Errorf("a message among three: %+v", n)
	}
	var res struct {
		EventID string `json:"event_id"`
	}
	mx.Must(t, bob.Do(context.Background(), "PUT", "/_matrix/client/v3/rooms/"+url.PathEscape(id)+"/send/m.room.message/3", map[string]any{
		"msgtype": "m.text", "body": "x", "m.mentions": map[string]any{"user_ids": []string{alice.UserID}}}, &res))
	if n := g.event("phone", res.EventID); n.Devices[0].Tweaks["highlight"] != true || n.Devices[0].Tweaks["sound"] != "default" {
		t.Errorf("a mention: %+v", n.Devices[0].Tweaks)
	}
	mx.Must(t, alice.Do(context.Background(), "PUT", "/_matrix/client/v3/pushrules/global/content/cake",
		map[string]any{"pattern": "cake", "actions": []any{"notify", map[string]any{"set_tweak": "sound", "value": "cake.wav"}}}, nil))
	event, err := bob.Send(context.Background(), id, "4", "there is cake")
	mx.Must(t, err)
	if n := g.event("phone", event); n.Devices[0].Tweaks["sound"] != "cake.wav" {
		t.Errorf("a rule of her own: %+v", n.Devices[0].Tweaks)
	}
	mx.Must(t, alice.Do(context.Background(), "PUT", "/_matrix/client/v3/pushrules/global/room/"+url.PathEscape(id),
		map[string]any{"actions": []any{}}, nil))
	silent := say(t, bob, id, "5")
	mx.Must(t, alice.Do(context.Background(), "DELETE", "/_matrix/client/v3/pushrules/global/room/"+url.PathEscape(id), nil, nil))
	last := say(t, bob, id, "6")
	g.event("phone", last)
	if _, times := g.events("phone"); times[silent] != 0 {
		t.Error("told of an event in a room that she silenced")
	}
}

// A message in a thread that one subscribed to sounds as the rule on threads has it. MSC4306
func TestSubscribedThread(t *testing.T) {
	s := live.Start(t, live.Options{Extra: open + "  content: true\n"})
	ctx := context.Background()
	g := newGateway(t)
	alice, bob, carol := user(t, s, "alice"), user(t, s, "bob"), user(t, s, "carol")
	id := room(t, bob, alice)
	mx.Must(t, carol.Join(ctx, id))
	root := say(t, bob, id, "root")
	mx.Must(t, alice.Do(ctx, "PUT", "/_matrix/client/unstable/io.element.msc4306/rooms/"+url.PathEscape(id)+"/thread/"+url.PathEscape(root)+"/subscription",
		map[string]any{}, nil))
	mx.Must(t, set(alice, pusher(g, "phone")))
	var res struct {
		EventID string `json:"event_id"`
	}
	mx.Must(t, bob.Do(ctx, "PUT", "/_matrix/client/v3/rooms/"+url.PathEscape(id)+"/send/m.room.message/t", map[string]any{
		"msgtype": "m.text", "body": "x", "m.relates_to": map[string]any{"rel_type": "m.thread", "event_id": root}}, &res))
	if n := g.event("phone", res.EventID); n.Devices[0].Tweaks["sound"] != "default" {
		t.Errorf("in a thread that she subscribed to: %+v", n.Devices[0].Tweaks)
	}
	if n := g.event("phone", say(t, bob, id, "main")); len(n.Devices[0].Tweaks) != 0 {
		t.Errorf("outside of it: %+v", n.Devices[0].Tweaks)
	}
}

// Invitations are told, but not those of somebody who is ignored, or whose invitations the user does not want to see.
func TestInvitations(t *testing.T) {
	each(t, open+"  content: true\n", func(t *testing.T, s *live.Server) {
		ctx := context.Background()
		g := newGateway(t)
		alice, bob, pest, unwanted := user(t, s, "alice"), user(t, s, "bob"), user(t, s, "pest"), user(t, s, "unwanted")
		mx.Must(t, alice.Do(ctx, "PUT", "/_matrix/client/v3/user/"+url.PathEscape(alice.UserID)+"/account_data/org.matrix.msc4155.invite_permission_config",
			map[string]any{"ignored_users": []string{unwanted.UserID}}, nil))
		mx.Must(t, alice.Do(ctx, "PUT", "/_matrix/client/v3/user/"+url.PathEscape(alice.UserID)+"/account_data/m.ignored_user_list",
			map[string]any{"ignored_users": map[string]any{pest.UserID: map[string]any{}}}, nil))
		mx.Must(t, set(alice, pusher(g, "phone")))
		for _, c := range []*mx.Client{pest, unwanted, bob} {
			_, err := c.CreateRoom(ctx, map[string]any{"preset": "private_chat", "invite": []string{alice.UserID}})
			mx.Must(t, err)
		}
		g.until("the invitation", func() bool {
			for _, n := range g.got["phone"] {
				if n.EventID != "" {
					return true
				}
			}
			return false
		})
		order, _ := g.events("phone")
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, n := range g.got["phone"] {
			if n.EventID != "" && (len(order) != 1 || n.Sender != bob.UserID || !n.Target || n.Type != "m.room.member" || n.Prio != "high") {
				t.Errorf("invitation: %+v", n)
			}
		}
	})
}

// What is no pusher is refused with a reason.
func TestRefused(t *testing.T) {
	s := live.Start(t, live.Options{Extra: "push:\n  allow: [\"push.example.org\"]\n"})
	alice := user(t, s, "alice")
	good := func() map[string]any {
		return map[string]any{"pushkey": "k", "kind": "http", "app_id": "a", "app_display_name": "App", "device_display_name": "Phone", "lang": "fr",
			"data": map[string]any{"url": "https://push.example.org/_matrix/push/v1/notify"}}
	}
	mx.Must(t, set(alice, good()))
	at := func(url string) any { return map[string]any{"url": url} }
	for name, c := range map[string]struct {
		key    string
		value  any
		status int
		code   string
	}{
		"email":         {"kind", "email", 400, "M_INVALID_PARAM"},
		"other kind":    {"kind", "fax", 400, "M_INVALID_PARAM"},
		"no kind":       {"kind", "-", 400, "M_MISSING_PARAM"},
		"no lang":       {"lang", "-", 400, "M_MISSING_PARAM"},
		"no pushkey":    {"pushkey", "-", 400, "M_MISSING_PARAM"},
		"long key":      {"pushkey", string(make([]byte, 513)), 400, "M_INVALID_PARAM"},
		"long app":      {"app_id", string(make([]byte, 65)), 400, "M_INVALID_PARAM"},
		"no data":       {"data", "-", 400, "M_MISSING_PARAM"},
		"data a list":   {"data", []string{}, 400, "M_INVALID_PARAM"},
		"no url":        {"data", map[string]any{}, 400, "M_MISSING_PARAM"},
		"url a number":  {"data", map[string]any{"url": 1}, 400, "M_INVALID_PARAM"},
		"http":          {"data", at("http://push.example.org/_matrix/push/v1/notify"), 400, "M_INVALID_PARAM"},
		"other path":    {"data", at("https://push.example.org/notify"), 400, "M_INVALID_PARAM"},
		"a password":    {"data", at("https://a:b@push.example.org/_matrix/push/v1/notify"), 400, "M_INVALID_PARAM"},
		"other gateway": {"data", at("https://matrix.org/_matrix/push/v1/notify"), 403, "M_FORBIDDEN"},
		"private":       {"data", at("https://127.0.0.1/_matrix/push/v1/notify"), 403, "M_FORBIDDEN"},
	} {
		body := good()
		if body[c.key] = c.value; c.value == "-" {
			delete(body, c.key)
		}
		var err *mx.Error
		if !errors.As(set(alice, body), &err) || err.Status != c.status || err.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(list(t, alice)); n != 1 {
		t.Errorf("%d pushers", n)
	}
	stranger := &mx.Client{URL: s.URL}
	var err *mx.Error
	if !errors.As(set(stranger, good()), &err) || err.Status != http.StatusUnauthorized {
		t.Errorf("without a token: %v", err)
	}
}

// A pusher that is turned off hears nothing, and once it is on again only what comes then. MSC3881
func TestTurnedOff(t *testing.T) {
	each(t, open, func(t *testing.T, s *live.Server) {
		g := newGateway(t)
		alice, bob := user(t, s, "alice"), user(t, s, "bob")
		id := room(t, bob, alice)
		off := pusher(g, "phone")
		off["org.matrix.msc3881.enabled"] = false
		mx.Must(t, set(alice, off))
		mx.Must(t, set(alice, pusher(g, "other")))
		silent := say(t, bob, id, "1")
		g.event("other", silent)
		mx.Must(t, set(alice, pusher(g, "phone")))
		g.event("phone", say(t, bob, id, "2"))
		if _, times := g.events("phone"); times[silent] != 0 {
			t.Error("told of what came while it was off")
		}
	})
}

// Of two nodes one tells; when it is gone the other does, and nothing is lost.
func TestTwoNodes(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("two nodes share a PostgreSQL")
	}
	database := pgtest.New(t)
	first := live.Start(t, live.Options{Extra: open, Postgres: database})
	second := live.Start(t, live.Options{Extra: open, Postgres: database, SigningKey: first.Dir + "/signing.key"})
	g := newGateway(t)
	alice, bob := user(t, first, "alice"), user(t, second, "bob")
	id := room(t, bob, alice)
	mx.Must(t, set(alice, pusher(g, "phone")))
	for _, txn := range []string{"1", "2", "3"} {
		g.event("phone", say(t, bob, id, txn))
	}
	if _, times := g.events("phone"); len(times) != 3 {
		t.Errorf("told of %v", times)
	} else {
		for event, n := range times {
			if n != 1 {
				t.Errorf("%s was told %d times", event, n)
			}
		}
	}
	first.Kill()
	g.event("phone", say(t, bob, id, "4"))
}

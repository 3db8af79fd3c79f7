package sovereign

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"rempart/internal/testkit/mx"
)

// TestPushersAreJudgedAtAReload has a policy strike a push gateway out: it is judged at once, nothing is told or tried there any more while another one
// goes on, and what waits is told when the gateway is admitted again.
func TestPushersAreJudgedAtAReload(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	struck, kept := l.gateway("push.lab", "127.10.0.70"), l.gateway("push.moves.lab", "127.10.0.71")
	w := l.town("mairie.lab", "127.10.0.1", french, "")
	bob, err := mx.Register(ctx, w.URL, "bob")
	mx.Must(t, err)
	carol, err := mx.Register(ctx, w.URL, "carol")
	mx.Must(t, err)
	for c, g := range map[*mx.Client]*gateway{w.alice: struck, bob: kept} {
		mx.Must(t, c.Do(ctx, "POST", "/_matrix/client/v3/pushers/set", object{"kind": "http", "app_id": "app", "pushkey": c.UserID, "app_display_name": "a",
			"device_display_name": "d", "lang": "fr", "data": object{"url": g.url}}, nil))
	}
	room, err := carol.CreateRoom(ctx, object{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, w.alice.Join(ctx, room))
	mx.Must(t, bob.Join(ctx, room))
	say := func(text string) string {
		t.Helper()
		event, err := carol.Send(ctx, room, text, text+" alice bob")
		mx.Must(t, err)
		l.until("the gateway that is admitted is told of "+text, func() bool { return strings.Contains(kept.told(), event) })
		return event
	}
	first := say("first")
	l.until("both are told", func() bool { return strings.Contains(struck.told(), first) })
	w.adopt(strings.Replace(french, "hosts: [push.lab, ", "hosts: [", 1))
	l.until("the gateway is judged at the reload", func() bool { n, _ := w.refusals2("push.lab"); return n > 0 })
	before, _ := w.refusals2("push.lab")
	second, third := say("second"), say("third")
	if n, _ := w.refusals2("push.lab"); n != before || strings.Contains(struck.told(), second) {
		t.Errorf("%d refusals are recorded, %d before anything was said: it was tried; or told", n, before)
	}
	l.until("administrators are told", func() bool {
		var alarms struct{ Now []string }
		mx.Must(t, w.boss.Do(ctx, "GET", "/_rempart/admin/v1/policy/alarms", nil, &alarms))
		return slices.ContainsFunc(alarms.Now, func(s string) bool { return strings.Contains(s, "push.lab") && strings.Contains(s, "1 pushers") })
	})
	l.until("the owner of the pusher is asked into the room of notices", func() bool { return len(invited(t, w.alice)) == 1 })
	notice := invited(t, w.alice)[0]
	mx.Must(t, w.alice.Join(ctx, notice))
	l.until("its owner is told", func() bool { return len(said(t, w.alice, notice)) == 1 })
	w.Stop()
	w.Restart() // nobody is told twice
	w.adopt(french)
	l.until("what waited is told", func() bool { return strings.Contains(struck.told(), second) && strings.Contains(struck.told(), third) })
	l.until("its owner is told again", func() bool { return len(said(t, w.alice, notice)) > 1 })
	if said := said(t, w.alice, notice); len(said) != 2 || !strings.Contains(said[0], "n'est plus notifiée") || !strings.Contains(said[1], "de nouveau notifiée") {
		t.Errorf("the owner of the pusher was told %q", said)
	}
	if invited(t, bob) != nil {
		t.Error("whose gateway is admitted was told something")
	}
	w.nothingLeft()
}

// invited are the rooms that somebody is asked into.
func invited(t *testing.T, c *mx.Client) []string {
	t.Helper()
	var sync struct {
		Rooms struct{ Invite map[string]any }
	}
	mx.Must(t, c.Do(t.Context(), "GET", "/_matrix/client/v3/sync", nil, &sync))
	return slices.Collect(maps.Keys(sync.Rooms.Invite))
}

// said are the messages of a room, the oldest first.
func said(t *testing.T, c *mx.Client, room string) (out []string) {
	t.Helper()
	var page struct {
		Chunk []struct {
			Type    string
			Content struct{ Body string }
		}
	}
	mx.Must(t, c.Do(t.Context(), "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/messages?dir=b&limit=100", nil, &page))
	for _, e := range slices.Backward(page.Chunk) {
		if e.Type == "m.room.message" {
			out = append(out, e.Content.Body)
		}
	}
	return out
}

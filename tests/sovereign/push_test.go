package sovereign

import (
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
	w.adopt(french)
	l.until("what waited is told", func() bool { return strings.Contains(struck.told(), second) && strings.Contains(struck.told(), third) })
	w.nothingLeft()
}

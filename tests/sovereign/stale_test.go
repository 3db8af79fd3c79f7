package sovereign

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/ports"
)

// TestStaleDelegation has the well-known file of a partner, which is kept for long, lead to a host that is French, and abroad later on; and the file lead
// abroad, of which a restart hears.
func TestStaleDelegation(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	p := l.peer("stale.lab", "127.10.0.30")
	p.answers(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Connection", "close")
		_, _ = rw.Write([]byte(`{"displayname":"Bob"}`))
	})
	l.mu.Lock()
	port := l.srv["_matrix-fed._tcp.stale.lab"].Port
	delete(l.srv, "_matrix-fed._tcp.stale.lab")
	l.mu.Unlock()
	var to atomic.Value
	to.Store(fmt.Sprintf("matrix.stale.lab:%d", port))
	if !l.wellKnown("stale.lab", "127.10.0.25", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=86400")
		_, _ = fmt.Fprintf(w, `{"m.server":%q}`, to.Load())
	}) {
		t.Skip("a process that may not listen at port 443 cannot publish well-known files")
	}
	w := l.town("mairie.lab", "127.10.0.1", french+partners("stale.lab"), "")
	n := 0
	ask := func() error {
		n++
		return w.alice.Do(ctx, "GET", fmt.Sprintf("/_matrix/client/v3/profile/@bob%d:stale.lab", n), nil, nil)
	}
	mx.Must(t, ask())
	was := p.calls()
	refusal := func(what string) {
		t.Helper()
		if e := refused(ask()); e == nil || e.Code != "M_FORBIDDEN" || p.calls() != was {
			t.Errorf("%s: %v, %d requests", what, e, p.calls()-was)
		}
		if _, rules := w.refusals2("stale.lab"); !slices.Contains(rules, "territory.outside") {
			t.Errorf("%s: the refusals that are recorded: %v", what, rules)
		}
	}
	l.host("matrix.stale.lab", "127.12.0.1") // the file that is kept is as it was
	refusal("the host of the file moved abroad")
	l.host("matrix.stale.lab", "127.10.0.30")
	to.Store(l.abroad.addr)
	w.Stop()
	w.Restart() // what was kept is forgotten
	refusal("the file leads abroad")
	w.nothingLeft()
}

// TestNoCallsByStrangers asks the token service of calls with tokens that servers elsewhere would have to vouch for.
func TestNoCallsByStrangers(t *testing.T) {
	l := newLab(t)
	elsewhere := l.elsewhere()
	udp := strconv.Itoa(ports.Both(t))
	w := l.town("mairie.lab", "127.10.0.1", french+partners(l.admitted()...), "calls:\n  mode: embedded\n  node_ip: [\"127.0.0.1\"]\n  udp_port: "+udp+"\n")
	room, err := w.alice.CreateRoom(t.Context(), object{"preset": "public_chat"})
	mx.Must(t, err)
	nobody := &mx.Client{URL: w.URL}
	for server, rule := range elsewhere {
		openid := object{"access_token": "secret-token", "token_type": "Bearer", "matrix_server_name": server, "expires_in": 3600}
		for path, body := range map[string]object{
			"/sfu/get": {"room": room, "device_id": "D", "openid_token": openid},
			"/get_token": {"room_id": room, "slot_id": "m.call#ROOM", "openid_token": openid,
				"member": object{"id": "m", "claimed_user_id": "@bob:" + server, "claimed_device_id": "D"}},
		} {
			err := nobody.Do(t.Context(), "POST", "/_rempart/calls"+path, body, nil)
			if e := refused(err); e == nil || e.Code != "M_FORBIDDEN" || strings.Contains(e.Message, "127.1") && !strings.Contains(server, "127.1") {
				t.Errorf("%s by %s: %v", path, server, err)
			}
		}
		if n, rules := w.refusals(server); n == 0 || !slices.Contains(rules, rule) {
			t.Errorf("%s: %d refusals by %v are recorded", server, n, rules)
		}
	}
	if strings.Contains(w.Log(), "secret-token") {
		t.Error("the log holds a token")
	}
	w.nothingLeft()
}

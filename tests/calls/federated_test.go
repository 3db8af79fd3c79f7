package calls

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// town is a server with calls that speaks with others.
type town struct {
	*live.Server
	public, policy string
	who            *person
}

func newTown(t *testing.T, ca *fakenet.CA, name string) *town {
	t.Helper()
	w := &town{public: "http://" + name + ".invalid", policy: filepath.Join(t.TempDir(), name+".yaml")}
	w.write(t, "")
	w.Server = startWith(t, live.Options{CA: ca, Extra: fmt.Sprintf("policy:\n  file: %q\nfederation:\n  ca: ca.pem\n", w.policy)}, w.public)
	w.who = register(t, w.Server, name)
	return w
}

// write writes the policy: everybody may be spoken to, but for what is added.
func (w *town) write(t *testing.T, more string) {
	t.Helper()
	text := policyFor + "partners:\n  - {server: \"*\", private: true, allow: [rooms, media, profiles, devices, receipts, typing, presence, directory]}\n" + more
	if err := os.WriteFile(w.policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tokenAt asks one's own server for a token of another server's media server.
func (w *town) tokenAt(other *town, room string) (int, string) {
	status, out := w.who.call("POST", "/_matrix/client/v1/rtc/livekit/get_token", map[string]any{
		"server_name": other.Name, "url": other.public + base, "room_id": room, "slot_id": "m.call#ROOM", "member_id": "m"})
	jwt, _ := out["jwt"].(string)
	return status, jwt
}

// TestServersSubscribeToOneAnother: two servers with a media server each. Everybody sends at his own and receives at the other's.
// One is then denied: his connection ends, no token is given, and nothing is asked of a stranger.
func TestServersSubscribeToOneAnother(t *testing.T) {
	ca := fakenet.NewCA(t)
	here, there := newTown(t, ca, "alice"), newTown(t, ca, "bob")
	room := here.who.must("POST", "/_matrix/client/v3/createRoom", map[string]any{"preset": "public_chat"})["room_id"].(string)
	there.who.must("POST", "/_matrix/client/v3/join/"+room+"?server_name="+here.Name, struct{}{})
	until(t, "both are known to be in the room", func() bool {
		status, _ := here.tokenAt(there, room)
		return status == http.StatusOK
	})
	var left *heard
	for _, way := range []struct{ from, to *town }{{here, there}, {there, here}} {
		_, jwt := way.from.who.ask(room)
		r, _, err := way.from.who.join(jwt)
		if err != nil {
			t.Fatal(err)
		}
		send(t, r)
		status, jwt := way.to.tokenAt(way.from, room)
		if status != http.StatusOK {
			t.Fatalf("no token at the other's: %d", status)
		}
		guest, h, err := way.to.who.joinAt(way.from.URL, jwt)
		if err != nil {
			t.Fatal(err)
		}
		wait(t, "sound of the other", 101, h.audio)
		wait(t, "pictures of the other", 101, h.video)
		if p := guest.LocalParticipant.Permissions(); p.GetCanPublish() {
			t.Error("a guest may send")
		}
		if way.from == here {
			left = h
		}
	}
	strangers, asked := sink(t)
	here.write(t, fmt.Sprintf("deny: {servers: [%q, %q]}\n", there.Name, strangers))
	here.Signal(syscall.SIGHUP)
	wait(t, "end of the denied guest's connection", 1, left.gone)
	if status, _ := there.tokenAt(here, room); status != http.StatusForbidden {
		t.Errorf("a token for a denied guest: %d", status)
	}
	if status, _ := here.tokenAt(there, room); status != http.StatusForbidden {
		t.Errorf("a token of a denied server: %d", status)
	}
	for _, server := range []string{there.Name, strangers} {
		status, _ := (&person{t: t, url: here.URL}).call("POST", base+"/sfu/get", map[string]any{"room": room, "device_id": "D",
			"openid_token": map[string]string{"access_token": "x", "matrix_server_name": server}})
		if status != http.StatusForbidden {
			t.Errorf("a token by OpenID of %s: %d", server, status)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d connections to a denied server", n)
	}
}

// sink counts connections to a server that nobody may speak with.
func sink(t *testing.T) (name string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = &atomic.Int64{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; ; connections.Add(1) {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String(), connections
}

// until asks again and again.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(mx.Patience); !is(); {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

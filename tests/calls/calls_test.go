package calls

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/live"
)

// inRoom makes two people who share a room.
func inRoom(t *testing.T) (alice, bob *person, room string) {
	t.Helper()
	s := start(t)
	alice, bob = register(t, s, "alice"), register(t, s, "bob")
	room = alice.must("POST", "/_matrix/client/v3/createRoom", map[string]any{"preset": "public_chat"})["room_id"].(string)
	bob.must("POST", "/_matrix/client/v3/join/"+room, struct{}{})
	return alice, bob, room
}

func TestTwoPeopleHearAndSeeOneAnother(t *testing.T) {
	alice, bob, room := inRoom(t)
	heardBy := map[string]*heard{}
	for _, p := range []*person{alice, bob} {
		status, jwt := p.ask(room)
		if status != http.StatusOK {
			t.Fatalf("%s: no token: %d", p.user, status)
		}
		r, h, err := p.join(jwt)
		if err != nil {
			t.Fatal(err)
		}
		send(t, r)
		heardBy[p.user] = h
	}
	for user, h := range heardBy {
		wait(t, user+": sound", 101, h.audio)
		wait(t, user+": pictures", 101, h.video)
	}
}

func TestWhoLeavesIsOutOfTheCall(t *testing.T) {
	alice, bob, room := inRoom(t)
	for name, act := range map[string]func(){
		"kick": func() {
			alice.must("POST", "/_matrix/client/v3/rooms/"+room+"/kick", map[string]string{"user_id": bob.user})
		},
		"leave": func() { bob.must("POST", "/_matrix/client/v3/rooms/"+room+"/leave", struct{}{}) },
		"ban": func() {
			alice.must("POST", "/_matrix/client/v3/rooms/"+room+"/ban", map[string]string{"user_id": bob.user})
		},
	} {
		t.Run(name, func(t *testing.T) {
			alice.call("POST", "/_matrix/client/v3/rooms/"+room+"/unban", map[string]string{"user_id": bob.user})
			bob.must("POST", "/_matrix/client/v3/join/"+room, struct{}{})
			_, jwt := bob.ask(room)
			_, h, err := bob.join(jwt)
			if err != nil {
				t.Fatal(err)
			}
			act()
			wait(t, "end of the connection", 1, h.gone)
			if status, _ := (&person{t: t, url: bob.url}).call("GET", base+"/rtc/validate?access_token="+jwt, nil); status != http.StatusForbidden {
				t.Errorf("the old token: %d", status)
			}
			if status, _ := bob.ask(room); status != http.StatusForbidden {
				t.Errorf("a new token: %d", status)
			}
		})
	}
}

func TestTokensAreForMembers(t *testing.T) {
	alice, bob, room := inRoom(t)
	stranger := &person{t: t, url: alice.url}
	if status, _ := stranger.call("GET", "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports", nil); status != http.StatusUnauthorized {
		t.Errorf("discovery by a stranger: %d", status)
	}
	url := "http://calls.invalid" + base
	openid := bob.must("POST", "/_matrix/client/v3/user/"+bob.user+"/openid/request_token", struct{}{})
	lies := map[string]string{"id": "m", "claimed_user_id": alice.user, "claimed_device_id": "X"}
	for name, c := range map[string]struct {
		path string
		body map[string]any
		want int
	}{
		"home":            {"/_matrix/client/v1/rtc/livekit/get_token", map[string]any{"url": url, "room_id": room, "slot_id": "m.call#ROOM", "member_id": "m"}, 200},
		"home, wrong url": {"/_matrix/client/v1/rtc/livekit/get_token", map[string]any{"url": "http://x", "room_id": room, "slot_id": "m.call#ROOM", "member_id": "m"}, 400},
		"home, elsewhere": {"/_matrix/client/v1/rtc/livekit/get_token", map[string]any{"server_name": "evil.example.org", "url": url, "room_id": room, "slot_id": "s", "member_id": "m"}, 403},
		"no such room":    {"/_matrix/client/v1/rtc/livekit/get_token", map[string]any{"url": url, "room_id": "!no:localhost", "slot_id": "m.call#ROOM", "member_id": "m"}, 403},
		"legacy":          {base + "/sfu/get", map[string]any{"room": room, "openid_token": openid, "device_id": "D"}, 200},
		"legacy, partner": {base + "/sfu/get", map[string]any{"room": room, "openid_token": map[string]string{"access_token": "x", "matrix_server_name": "evil.example.org"}, "device_id": "D"}, 403},
		"bad OpenID":      {base + "/sfu/get", map[string]any{"room": room, "openid_token": map[string]string{"access_token": "x", "matrix_server_name": "localhost"}, "device_id": "D"}, 401},
		"another's name":  {base + "/get_token", map[string]any{"room_id": room, "slot_id": "s", "openid_token": openid, "member": lies}, 403},
		"delegated leave": {base + "/delegate_delayed_leave", map[string]any{}, 404},
		"leave, at home":  {"/_matrix/client/unstable/io.element.msc4195/rtc/livekit/delegate_delayed_leave", map[string]any{}, 404},
		"leave, later":    {"/_matrix/client/v1/rtc/livekit/delegate_delayed_leave", map[string]any{}, 404},
	} {
		if status, out := bob.call("POST", c.path, c.body); status != c.want {
			t.Errorf("%s: %d %v, want %d", name, status, out, c.want)
		}
	}
}

func TestChatOutlivesTheMediaProcess(t *testing.T) {
	alice, bob, room := inRoom(t)
	_, jwt := alice.ask(room)
	if _, _, err := alice.join(jwt); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := syscall.Kill(child(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	alice.must("PUT", "/_matrix/client/v3/rooms/"+room+"/send/m.room.message/1", map[string]string{"msgtype": "m.text", "body": "still here"})
	_, jwt = bob.ask(room)
	r, _, err := bob.join(jwt)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a call again after %v", time.Since(began))
	send(t, r)
}

// child is the media process of the one server of this test.
func child(t *testing.T) int {
	t.Helper()
	return childBy(t, func(server int) bool { return parent(server) == os.Getpid() })
}

// childOf is the media process of a server.
func childOf(t *testing.T, s *live.Server) int {
	t.Helper()
	return childBy(t, func(server int) bool { return server == s.PID() })
}

// childBy is the media process that a server started of which something is true.
func childBy(t *testing.T, is func(server int) bool) int {
	t.Helper()
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		text, _ := os.ReadFile(line)
		pid, _ := strconv.Atoi(strings.Split(line, "/")[2])
		if strings.HasSuffix(string(text), "\x00sfu-child\x00") && is(parent(pid)) {
			return pid
		}
	}
	t.Fatal("no media process")
	return 0
}

func parent(pid int) int {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(fields[1])
	return n
}

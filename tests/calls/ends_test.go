package calls

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Why: it is what registration by a shared secret wants
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// helperEnv names what a process that this test starts shall join: the server's address and a token.
const helperEnv = "REMPART_TEST_PARTICIPANT"

// TestParticipant is no test: it is a participant in a process of its own, that sends until it is ended.
func TestParticipant(t *testing.T) {
	url, jwt, ok := strings.Cut(os.Getenv(helperEnv), " ")
	if !ok {
		t.Skip("it is started by other tests")
	}
	p := &person{t: t, url: url}
	room, _, err := p.join(jwt)
	if err != nil {
		t.Fatal(err)
	}
	send(t, room)
	fmt.Println("joined")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestACutNetworkLeavesNoGhost: a participant who falls silent without a word is out of the call. His process is stopped: its
// connections stay open, and nothing comes through them any more.
func TestACutNetworkLeavesNoGhost(t *testing.T) {
	s := start(t)
	alice := register(t, s, "alice")
	room := alice.must("POST", "/_matrix/client/v3/createRoom", struct{}{})["room_id"].(string)
	_, jwt := alice.ask(room)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=TestParticipant$")
	cmd.Env = append(os.Environ(), helperEnv+"="+s.URL+" "+jwt)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	_, err := cmd.StdinPipe() // open until the end
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	people(t, s, "sends 2 tracks")
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	cut := time.Now()
	people(t, s, "0 people")
	t.Logf("out of the call after %v", time.Since(cut))
}

// people waits until the list of calls says something.
func people(t *testing.T, s *live.Server, want string) {
	t.Helper()
	deadline, text := time.Now().Add(mx.Patience), ""
	for time.Now().Before(deadline) {
		text, _ = s.Command("calls")
		if strings.Contains(text, want) {
			return
		}
	}
	t.Fatalf("not %q: %s", want, text)
}

// admin makes an administrator.
func admin(t *testing.T, s *live.Server) *person {
	t.Helper()
	p := &person{t: t, url: s.URL}
	_, out := p.call("GET", "/_synapse/admin/v1/register", nil)
	mac := hmac.New(sha1.New, []byte("live"))
	_, _ = fmt.Fprintf(mac, "%s\x00boss\x00long enough 1\x00admin", out["nonce"])
	out = p.must("POST", "/_synapse/admin/v1/register", map[string]any{"nonce": out["nonce"], "username": "boss", "password": "long enough 1", "admin": true,
		"mac": hex.EncodeToString(mac.Sum(nil))})
	p.user, p.token = out["user_id"].(string), out["access_token"].(string)
	return p
}

func TestALockedAccountIsOutOfTheCall(t *testing.T) {
	s := start(t)
	boss, alice := admin(t, s), register(t, s, "alice")
	room := alice.must("POST", "/_matrix/client/v3/createRoom", struct{}{})["room_id"].(string)
	_, jwt := alice.ask(room)
	_, h, err := alice.join(jwt)
	if err != nil {
		t.Fatal(err)
	}
	boss.must("PUT", "/_matrix/client/v1/admin/lock/"+alice.user, map[string]bool{"locked": true})
	wait(t, "end of the connection", 1, h.gone)
	if status, _ := (&person{t: t, url: s.URL}).call("GET", base+"/rtc/validate?access_token="+jwt, nil); status != http.StatusForbidden {
		t.Errorf("the old token: %d", status)
	}
}

// policyFor is a policy without geography, to which lines are added.
const policyFor = `version: 1
outside:
  - {point: store.open, hosts: [configured], private: true}
  - {point: rtc.media, hosts: [configured], private: true}
  - {point: rtc.ice, hosts: ["*"], private: true}
`

// TestAChangedPolicyEndsConnections: media goes to admitted addresses only, also when they are admitted no longer. What happened
// is in the ledger.
func TestAChangedPolicyEndsConnections(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(more string) {
		if err := os.WriteFile(file, []byte(policyFor+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	s := startWith(t, live.Options{Extra: fmt.Sprintf("policy:\n  file: %q\n", file)}, "http://calls.invalid")
	alice := register(t, s, "alice")
	room := alice.must("POST", "/_matrix/client/v3/createRoom", struct{}{})["room_id"].(string)
	_, jwt := alice.ask(room)
	r, h, err := alice.join(jwt)
	if err != nil {
		t.Fatal(err)
	}
	send(t, r)
	people(t, s, "sends 2 tracks")
	write("deny: {networks: [\"0.0.0.0/0\", \"::/0\"]}\n")
	s.Signal(syscall.SIGHUP)
	wait(t, "end of the connection", 1, h.gone)
	people(t, s, "0 people")
	s.Stop() // what is folded in memory is written
	text, err := s.Command("ledger", "trace", "room", room)
	for _, kind := range []string{"call_started", "call_joined", "call_media", "call_published", "call_left", "call_ended"} {
		if err != nil || !strings.Contains(text, kind) {
			t.Errorf("the ledger lacks %s: %v\n%s", kind, err, text)
		}
	}
}

// TestACallComesBack: the media process is killed in the middle of a call; the people in it do nothing, and hear one another again.
func TestACallComesBack(t *testing.T) {
	alice, bob, room := inRoom(t)
	var h *heard
	for _, p := range []*person{alice, bob} {
		_, jwt := p.ask(room)
		r, mine, err := p.join(jwt)
		if err != nil {
			t.Fatal(err)
		}
		send(t, r)
		h = mine
	}
	wait(t, "pictures", 101, h.video)
	began := time.Now()
	if err := syscall.Kill(child(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	alice.must("PUT", "/_matrix/client/v3/rooms/"+room+"/send/m.room.message/1", map[string]string{"msgtype": "m.text", "body": "still here"})
	for len(h.video) > 0 { // what came before
		<-h.video
	}
	wait(t, "pictures again", 101, h.video)
	t.Logf("pictures again after %v", time.Since(began))
}

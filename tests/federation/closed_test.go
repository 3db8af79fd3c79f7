package federation

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the operation asks for it
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// closedTo is a server with a policy: it speaks with some servers and with nobody else.
type closedTo struct {
	*live.Server
	t    *testing.T
	boss *mx.Client // its administrator
}

func startClosed(t *testing.T, ca *fakenet.CA, partners ...string) closedTo {
	t.Helper()
	dir := t.TempDir()
	writePolicy(t, dir, partners)
	s := live.Start(t, live.Options{CA: ca, Dir: dir, Extra: "federation:\n  ca: ca.pem\npolicy:\n  file: policy.yaml\n"})
	c := closedTo{s, t, &mx.Client{URL: s.URL}}
	const path = "/_synapse/admin/v1/register"
	var out struct {
		Nonce string `json:"nonce"`
		Token string `json:"access_token"`
	}
	mx.Must(t, c.boss.Do(t.Context(), "GET", path, nil, &out))
	mac := hmac.New(sha1.New, []byte("live"))
	mac.Write([]byte(out.Nonce + "\x00boss\x00secret1234\x00admin"))
	mx.Must(t, c.boss.Do(t.Context(), "POST", path, map[string]any{"nonce": out.Nonce, "username": "boss", "password": "secret1234", "admin": true,
		"mac": hex.EncodeToString(mac.Sum(nil))}, &out))
	c.boss.Token = out.Token
	return c
}

func writePolicy(t *testing.T, dir string, partners []string) {
	t.Helper()
	text := "version: 1\npartners:\n"
	for _, name := range partners {
		text += "  - {server: \"" + name + "\", private: true}\n"
	}
	if len(partners) == 0 {
		text = "version: 1\n"
	}
	mx.Must(t, os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(text), 0o600))
}

// change puts another policy in force.
func (c closedTo) change(partners ...string) {
	c.t.Helper()
	writePolicy(c.t, c.Dir, partners)
	mx.Must(c.t, c.boss.Do(c.t.Context(), "POST", "/_rempart/admin/v1/policy/reload", map[string]any{}, nil))
}

// frozen is how many servers freeze rooms.
func (c closedTo) frozen() int {
	c.t.Helper()
	var out struct {
		Closures []struct {
			Kind string `json:"kind"`
		} `json:"closures"`
	}
	mx.Must(c.t, c.boss.Do(c.t.Context(), "GET", "/_rempart/admin/v1/closures", nil, &out))
	return len(out.Closures)
}

// forbidden fails unless something was refused by the policy.
func forbidden(t *testing.T, what string, err error) {
	t.Helper()
	var e *mx.Error
	if !errors.As(err, &e) || e.Code != "M_FORBIDDEN" {
		t.Errorf("%s: %v", what, err)
	}
}

// TestClosedRooms plays three servers, one of which refuses another that comes into its room by the third.
func TestClosedRooms(t *testing.T) {
	ctx, ca := t.Context(), fakenet.NewCA(t)
	there, bad := live.Start(t, live.Options{CA: ca}), live.Start(t, live.Options{CA: ca})
	home := startClosed(t, ca, there.Name)
	person := func(s *live.Server, name string) *mx.Client {
		t.Helper()
		c, err := mx.Register(ctx, s.URL, name)
		mx.Must(t, err)
		return c
	}
	alice, dora, eve := person(home.Server, "alice"), person(there, "dora"), person(bad, "eve")
	room, err := alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, joinVia(ctx, dora, room, home.Name))
	mx.Must(t, joinVia(ctx, eve, room, there.Name))
	for end := time.Now().Add(patience); home.frozen() == 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("the room is not frozen")
		}
	}
	_, err = alice.Send(ctx, room, "1", "secret")
	forbidden(t, "a message into a frozen room", err)
	member := "/_matrix/client/v3/rooms/" + url.PathEscape(room)
	forbidden(t, "an invitation", alice.Do(ctx, "POST", member+"/invite", map[string]any{"user_id": "@erik:" + there.Name}, nil))
	mx.Must(t, alice.Do(ctx, "POST", member+"/ban", map[string]any{"user_id": eve.UserID, "reason": "secret"}, nil))
	_, err = alice.Send(ctx, room, "2", "open again")
	mx.Must(t, err)
	waitFor(t, dora, room, "open again")

	home.change()
	if home.frozen() != 1 {
		t.Error("the closed room is not in the list")
	}
	_, err = alice.Send(ctx, room, "3", "secret")
	forbidden(t, "a message while the policy refuses the other server", err)
	home.change(there.Name)
	if home.frozen() != 0 {
		t.Error("the room that is open again is in the list")
	}
	_, err = alice.Send(ctx, room, "4", "open by policy")
	mx.Must(t, err)
	waitFor(t, dora, room, "open by policy")

	joinsElsewhere(ctx, t, home, there, alice, dora, eve)
}

// joinsElsewhere lets alice enter a room with eve in it, which she must not, and one without.
func joinsElsewhere(ctx context.Context, t *testing.T, home closedTo, there *live.Server, alice, dora, eve *mx.Client) {
	t.Helper()
	room, err := dora.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, joinVia(ctx, eve, room, there.Name))
	forbidden(t, "a room with a refused server", joinVia(ctx, alice, room, there.Name))
	waitFor(t, dora, room, alice.UserID, `"membership":"leave"`)
	if err := alice.Do(ctx, "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/state", nil, nil); err == nil {
		t.Error("the state of the refused room was kept")
	}
	for end := time.Now().Add(patience); strings.Count(home.Log(), "ALARM in a room") < 2; runtime.Gosched() { // a log is read a moment after it is written
		if time.Now().After(end) {
			t.Fatal("no alarm was raised")
		}
	}
	mx.Must(t, dora.Do(ctx, "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/kick", map[string]any{"user_id": eve.UserID}, nil))
	mx.Must(t, joinVia(ctx, alice, room, there.Name))
	_, err = alice.Send(ctx, room, "5", "now I may")
	mx.Must(t, err)
	waitFor(t, dora, room, "now I may")
}

package appservices

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/ports"
)

// administrator makes an account of an administrator, by the shared secret that servers of tests have.
func administrator(ctx context.Context, t *testing.T, s *live.Server) *mx.Client {
	t.Helper()
	const path = "/_synapse/admin/v1/register"
	c := &mx.Client{URL: s.URL}
	var begun struct{ Nonce string }
	mx.Must(t, c.Do(ctx, "GET", path, nil, &begun))
	mac := hmac.New(sha1.New, []byte("live"))
	mac.Write([]byte(begun.Nonce + "\x00boss\x00boss-password\x00admin"))
	var made struct {
		Token string `json:"access_token"`
	}
	mx.Must(t, c.Do(ctx, "POST", path, map[string]any{"nonce": begun.Nonce, "username": "boss", "password": "boss-password",
		"admin": true, "mac": hex.EncodeToString(mac.Sum(nil))}, &made))
	c.Token = made.Token
	return c
}

// standing is what administrators are told of a service.
type standing struct {
	ID, URL, Sender string
	Waiting         int    `json:"waiting_events"`
	Since           int64  `json:"failing_since"`
	Next            int64  `json:"next_try"`
	Reason          string `json:"last_error"`
	Success         int64  `json:"last_success"`
}

// measured is the value of a metric.
func measured(ctx context.Context, t *testing.T, address, name string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	mx.Must(t, err)
	res, err := http.DefaultClient.Do(req)
	mx.Must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	mx.Must(t, err)
	for line := range strings.Lines(string(text)) {
		if value, is := strings.CutPrefix(line, name+" "); is {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in\n%s", name, text)
	return ""
}

// TestServicesThatFailAreSeen checks that administrators see which service does not take events, why, what waits for it and when it is
// tried again, in the administration and in the metrics; that all is well again later; and that others are told nothing.
func TestServicesThatFailAreSeen(t *testing.T) { engines(t, servicesThatFailAreSeen) }

func servicesThatFailAreSeen(t *testing.T, o live.Options) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*mx.Patience)
	defer cancel()
	bridge, metrics := newService(t), ports.Hold(t, "")
	o.Env = []string{"REMPART_LISTEN_METRICS=" + metrics}
	s := live.Start(t, withService(t, o, bridge.url(), ""))
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	id := room(ctx, t, s, alice)
	for i := range 5 {
		_, err := alice.Send(ctx, id, fmt.Sprint(i), "a word")
		mx.Must(t, err)
	}
	const all = "/_rempart/admin/v1/appservices"
	boss := administrator(ctx, t, s)
	look := func() (one standing) {
		mx.Must(t, boss.Do(ctx, "GET", all+"/bridge", nil, &one))
		return one
	}
	until(ctx, t, "the service is seen to fail", func() bool { return look().Since > 0 })
	if one := look(); one.Waiting < 5 || one.Next < one.Since || one.Reason == "" || one.URL != bridge.url() || one.Sender != "@_bridge_bot:localhost" || one.Success != 0 {
		t.Errorf("a service that is away: %+v", one)
	}
	shows := func(name string, is bool) {
		t.Helper()
		until(ctx, t, name, func() bool {
			return (measured(ctx, t, metrics, "rempart_appservice_"+name+`{service="bridge"}`) != "0") == is
		})
	}
	shows("failing_seconds", true)
	shows("failures", true)
	bridge.start()
	until(ctx, t, "all is well", func() bool { one := look(); return one.Since == 0 && one.Waiting == 0 && one.Success > 0 })
	if one := look(); one.Reason != "" || one.Next != 0 {
		t.Errorf("a service that is back: %+v", one)
	}
	shows("failing_seconds", false)
	shows("transactions", true)
	var list struct{ Appservices []standing }
	mx.Must(t, boss.Do(ctx, "GET", all, nil, &list))
	if len(list.Appservices) != 1 || list.Appservices[0].ID != "bridge" {
		t.Errorf("all services: %+v", list)
	}
	refused(t, boss.Do(ctx, "GET", all+"/other", nil, nil), 404, "M_NOT_FOUND")
	refused(t, alice.Do(ctx, "GET", all, nil, nil), 403, "M_FORBIDDEN")
}

// TestTransactionsAreCut checks that what waits for a service comes in transactions of some mebibytes, not in one of many large events.
func TestTransactionsAreCut(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*mx.Patience)
	defer cancel()
	bridge := newService(t)
	s := live.Start(t, withService(t, live.Options{}, bridge.url(), ""))
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	id := room(ctx, t, s, alice)
	var want []string
	for i := range 90 {
		text := fmt.Sprint(i, strings.Repeat(" large", 10_000))
		_, err := alice.Send(ctx, id, fmt.Sprint(i), text)
		mx.Must(t, err)
		want = append(want, text)
	}
	bridge.start()
	until(ctx, t, "all arrived", func() bool { return len(bridge.messages()) == len(want) })
	if !slices.Equal(bridge.messages(), want) {
		t.Error("not in order")
	}
	for _, one := range bridge.transactions() {
		if len(one.Body) > 2<<20+64<<10 {
			t.Errorf("a transaction of %d bytes", len(one.Body))
		}
	}
}

// TestWhoShareNoRoomAreLeft checks that a service hears of people with whom none of its users shares a room any more, whoever of them
// left, and not of those with whom they do. MSC3202
func TestWhoShareNoRoomAreLeft(t *testing.T) { engines(t, whoShareNoRoomAreLeft) }

func whoShareNoRoomAreLeft(t *testing.T, o live.Options) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*mx.Patience)
	defer cancel()
	f := newFake(t)
	s := live.Start(t, withService(t, o, f.URL, "org.matrix.msc3202: true\n"))
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	carol, err := mx.Register(ctx, s.URL, "carol")
	mx.Must(t, err)
	one, two := room(ctx, t, s, alice), room(ctx, t, s, alice)
	mx.Must(t, carol.Join(ctx, one))
	left := func() []any {
		list, _ := f.object("org.matrix.msc3202.device_lists")["left"].([]any)
		return list
	}
	mx.Must(t, alice.Do(ctx, "POST", v3+"/rooms/"+url.PathEscape(one)+"/leave", map[string]any{}, nil))
	said, err := carol.Send(ctx, one, "said", "alice is gone")
	mx.Must(t, err)
	until(ctx, t, "the word came", func() bool {
		return slices.ContainsFunc(f.part("events"), func(e map[string]any) bool { return e["event_id"] == said })
	})
	if slices.Contains(left(), any(alice.UserID)) {
		t.Errorf("alice shares another room: %v", left())
	}
	mx.Must(t, as(ctx, s, "", "POST", v3+"/rooms/"+url.PathEscape(two)+"/leave", map[string]any{}, nil))
	until(ctx, t, "alice is left", func() bool { return slices.Equal(left(), []any{alice.UserID}) })
	mx.Must(t, carol.Do(ctx, "POST", v3+"/rooms/"+url.PathEscape(one)+"/leave", map[string]any{}, nil))
	until(ctx, t, "carol is left", func() bool { return slices.Equal(left(), []any{carol.UserID}) })
}

// TestInvitationsFromElsewhereShowTheRoom checks that a service is told what the room of an invitation shows of itself, when that is on another
// server and nobody here can look.
func TestInvitationsFromElsewhereShowTheRoom(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*mx.Patience)
	defer cancel()
	ca, f := fakenet.NewCA(t), newFake(t)
	there := live.Start(t, live.Options{CA: ca})
	here := live.Start(t, withService(t, live.Options{CA: ca}, f.URL, ""))
	alice, err := mx.Register(ctx, there.URL, "alice")
	mx.Must(t, err)
	mx.Must(t, registerGhost(ctx, here, "_bridge_bob"))
	bob := "@_bridge_bob:" + here.Name
	id, err := alice.CreateRoom(ctx, map[string]any{"preset": "private_chat", "name": "Over there", "invite": []string{bob}})
	mx.Must(t, err)
	shown := func() string {
		for _, e := range f.part("events") {
			unsigned, _ := e["unsigned"].(map[string]any)
			if e["room_id"] == id && e["state_key"] == bob {
				return fmt.Sprint(unsigned["invite_room_state"])
			}
		}
		return ""
	}
	until(ctx, t, "the invitation came", func() bool { return shown() != "" })
	if got := shown(); !strings.Contains(got, "Over there") || !strings.Contains(got, "m.room.create") || !strings.Contains(got, alice.UserID) {
		t.Errorf("invite_room_state: %s", got)
	}
}

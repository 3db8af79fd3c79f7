package federation

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// public asks a server's federation address for something that needs no signature.
func public(t *testing.T, s *live.Server, method, path, body string) (status int, answer string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // a test's own server
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+s.Federation+path, strings.NewReader(body))
	mx.Must(t, err)
	res, err := c.Do(req)
	mx.Must(t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	mx.Must(t, err)
	return res.StatusCode, string(raw)
}

func TestSmallQueriesOfAnybody(t *testing.T) {
	s := live.Start(t, live.Options{CA: fakenet.NewCA(t)})
	alice, err := mx.Register(t.Context(), s.URL, "alice")
	mx.Must(t, err)
	var token struct {
		Token  string `json:"access_token"`
		Server string `json:"matrix_server_name"`
	}
	mx.Must(t, alice.Do(t.Context(), "POST", "/_matrix/client/v3/user/"+url.PathEscape(alice.UserID)+"/openid/request_token", map[string]any{}, &token))
	if token.Server != s.Name {
		t.Errorf("a token of %q", token.Server)
	}
	const info = "/_matrix/federation/v1/openid/userinfo?access_token="
	if status, got := public(t, s, "GET", info+url.QueryEscape(token.Token), ""); status != 200 || got != `{"sub":"`+alice.UserID+`"}` {
		t.Errorf("whose token: %d %s", status, got)
	}
	if status, got := public(t, s, "GET", info+"wrong", ""); status != 401 || !strings.Contains(got, "M_UNKNOWN_TOKEN") {
		t.Errorf("a wrong token: %d %s", status, got)
	}

	_, own := public(t, s, "GET", "/_matrix/key/v2/server", "")
	var published struct {
		Keys map[string]json.RawMessage `json:"verify_keys"`
	}
	mx.Must(t, json.Unmarshal([]byte(own), &published))
	for _, q := range [][3]string{
		{"GET", "/_matrix/key/v2/query/" + url.PathEscape(s.Name), ""},
		{"POST", "/_matrix/key/v2/query", fmt.Sprintf(`{"server_keys":{%q:{}}}`, s.Name)},
	} {
		status, got := public(t, s, q[0], q[1], q[2])
		var list struct {
			Keys []struct {
				Server string                     `json:"server_name"`
				Keys   map[string]json.RawMessage `json:"verify_keys"`
			} `json:"server_keys"`
		}
		if status != 200 || json.Unmarshal([]byte(got), &list) != nil || len(list.Keys) != 1 || list.Keys[0].Server != s.Name {
			t.Fatalf("%s %s: %d %s", q[0], q[1], status, got)
		}
		for id, key := range published.Keys {
			if !bytes.Equal(list.Keys[0].Keys[id], key) {
				t.Errorf("%s %s: key %s is %s, published is %s", q[0], q[1], id, list.Keys[0].Keys[id], key)
			}
		}
	}
}

// Somebody of another server knocks, is let in, and jumps to a day from before he came.
func TestKnocksAndDaysAcrossServers(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	room, err := p.alice.CreateRoom(ctx, map[string]any{"initial_state": []any{
		map[string]any{"type": "m.room.join_rules", "content": map[string]string{"join_rule": "knock"}},
		map[string]any{"type": "m.room.history_visibility", "content": map[string]string{"history_visibility": "shared"}},
	}})
	mx.Must(t, err)
	first, said := aloneInItsMillisecond(ctx, t, p.alice, room)
	knock := "/_matrix/client/v3/knock/" + url.PathEscape(room) + "?via=" + url.QueryEscape(p.a.Name) + "&server_name=" + url.QueryEscape(p.a.Name)
	mx.Must(t, p.bob.Do(ctx, "POST", knock, map[string]string{"reason": "let me in"}, nil))
	waitFor(t, p.alice, room, p.bob.UserID, `"knock"`, "let me in")
	if err := joinVia(ctx, p.bob, room, p.a.Name); err == nil {
		t.Fatal("who knocks is in at once")
	}
	mx.Must(t, p.alice.Do(ctx, "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/invite", map[string]string{"user_id": p.bob.UserID}, nil))
	mx.Must(t, joinVia(ctx, p.bob, room, p.a.Name))
	waitFor(t, p.alice, room, p.bob.UserID, `"membership":"join"`)
	var near struct {
		Event matrix.EventID `json:"event_id"`
		TS    int64          `json:"origin_server_ts"`
	}
	day := fmt.Sprintf("/_matrix/client/v1/rooms/%s/timestamp_to_event?dir=f&ts=%d", url.PathEscape(room), said)
	mx.Must(t, p.bob.Do(ctx, "GET", day, nil, &near))
	if string(near.Event) != first || near.TS != said {
		t.Errorf("the event of that time: %+v, want %s", near, first)
	}
}

// aloneInItsMillisecond says something at a time of which nothing in the room is from before: of two events of one millisecond each is as near.
func aloneInItsMillisecond(ctx context.Context, t *testing.T, c *mx.Client, id string) (event string, at int64) {
	t.Helper()
	for n := 0; ; n++ {
		event, err := c.Send(ctx, id, fmt.Sprint("before", n), "before he came")
		mx.Must(t, err)
		var said struct {
			TS int64 `json:"origin_server_ts"`
		}
		mx.Must(t, c.Do(ctx, "GET", room(id)+"/event/"+url.PathEscape(event), nil, &said))
		if n > 0 && said.TS > at {
			return event, said.TS
		}
		at = said.TS
	}
}

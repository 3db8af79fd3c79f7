package federation

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// pair is two servers with one person each.
type pair struct {
	a, b       *live.Server
	alice, bob *mx.Client
}

func newPair(t *testing.T) *pair {
	t.Helper()
	ca := fakenet.NewCA(t)
	return people(t, live.Start(t, live.Options{CA: ca}), live.Start(t, live.Options{CA: ca}))
}

// people puts a person on each of two servers.
func people(t *testing.T, a, b *live.Server) *pair {
	t.Helper()
	p := &pair{a: a, b: b}
	var err error
	p.alice, err = mx.Register(t.Context(), p.a.URL, "alice")
	mx.Must(t, err)
	p.bob, err = mx.Register(t.Context(), p.b.URL, "bob")
	mx.Must(t, err)
	return p
}

// joinVia joins a room through a server.
func joinVia(ctx context.Context, c *mx.Client, room, server string) error {
	return c.Do(ctx, "POST", "/_matrix/client/v3/join/"+url.PathEscape(room)+"?server_name="+url.QueryEscape(server)+
		"&via="+url.QueryEscape(server), map[string]any{}, nil)
}

// waitFor syncs until one event of a room has all the words, and fails after a while.
func waitFor(t *testing.T, c *mx.Client, room string, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mx.Patience)
	defer cancel()
	since := ""
	for {
		var raw json.RawMessage
		path := "/_matrix/client/v3/sync?timeout=5000"
		if since != "" {
			path += "&since=" + url.QueryEscape(since)
		}
		mx.Must(t, c.Do(ctx, "GET", path, nil, &raw))
		var s struct {
			Next  string `json:"next_batch"`
			Rooms struct {
				Join map[string]struct {
					Timeline struct{ Events []json.RawMessage }
					State    struct{ Events []json.RawMessage }
				}
			}
		}
		mx.Must(t, json.Unmarshal(raw, &s))
		since = s.Next
		r := s.Rooms.Join[room]
	events:
		for _, e := range append(r.State.Events, r.Timeline.Events...) {
			for _, w := range words {
				if !bytes.Contains(e, []byte(w)) {
					continue events
				}
			}
			return
		}
	}
}

func TestTwoServersTalk(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	room, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, joinVia(ctx, p.bob, room, p.a.Name))
	waitFor(t, p.alice, room, p.bob.UserID, `"membership":"join"`)
	_, err = p.alice.Send(ctx, room, "1", "hello over there")
	mx.Must(t, err)
	waitFor(t, p.bob, room, "hello over there")
	_, err = p.bob.Send(ctx, room, "1", "hello back")
	mx.Must(t, err)
	waitFor(t, p.alice, room, "hello back")

	p.b.Kill()
	_, err = p.alice.Send(ctx, room, "2", "are you there?")
	mx.Must(t, err)
	p.b.Restart()
	_, err = p.bob.Send(ctx, room, "2", "I am again")
	mx.Must(t, err)
	waitFor(t, p.alice, room, "I am again")
	waitFor(t, p.bob, room, "are you there?")
}

func TestMediaOfAnotherServer(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	req, err := http.NewRequestWithContext(ctx, "POST", p.a.URL+"/_matrix/media/v3/upload?filename=plan.txt", strings.NewReader("the plan"))
	mx.Must(t, err)
	req.Header.Set("Authorization", "Bearer "+p.alice.Token)
	req.Header.Set("Content-Type", "text/plain")
	res, err := http.DefaultClient.Do(req)
	mx.Must(t, err)
	var up struct {
		URI string `json:"content_uri"`
	}
	mx.Must(t, json.NewDecoder(res.Body).Decode(&up))
	_ = res.Body.Close()
	fetch := func(c *mx.Client, uri string) (int, string, string) {
		req, err := http.NewRequestWithContext(ctx, "GET", c.URL+"/_matrix/client/v1/media/download/"+strings.TrimPrefix(uri, "mxc://"), nil)
		mx.Must(t, err)
		req.Header.Set("Authorization", "Bearer "+c.Token)
		res, err := http.DefaultClient.Do(req)
		mx.Must(t, err)
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		mx.Must(t, err)
		return res.StatusCode, string(body), res.Header.Get("Content-Disposition")
	}
	if status, body, name := fetch(p.bob, up.URI); status != 200 || body != "the plan" || !strings.Contains(name, "plan.txt") {
		t.Errorf("%d %q %q", status, body, name)
	}
	if status, _, _ := fetch(p.bob, up.URI+"x"); status != 404 {
		t.Errorf("media that is not there: %d", status)
	}
	p.a.Kill() // what was fetched is here
	if status, body, _ := fetch(p.bob, up.URI); status != 200 || body != "the plan" {
		t.Errorf("while the other server is down: %d %q", status, body)
	}
	if status, _, _ := fetch(p.bob, up.URI+"y"); status != 502 {
		t.Errorf("what cannot be fetched: %d", status)
	}
}

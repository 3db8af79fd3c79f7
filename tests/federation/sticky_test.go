package federation

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"net/url"
	"slices"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// stick sends a message that sticks for an hour. MSC4354
func stick(ctx context.Context, c *mx.Client, id, txn, body string) (string, error) {
	var sent struct {
		ID string `json:"event_id"`
	}
	err := c.Do(ctx, "PUT", room(id)+"/send/m.room.message/"+txn+"?org.matrix.msc4354.sticky_duration_ms=3600000",
		map[string]string{"msgtype": "m.text", "body": body}, &sent)
	return sent.ID, err
}

// told syncs until a room has told an event, in its timeline or as one that sticks, and reports which of others came before it.
func told(t *testing.T, c *mx.Client, id, event string, others ...string) (came []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mx.Patience)
	defer cancel()
	for since := ""; ; {
		var s struct {
			Next  string `json:"next_batch"`
			Rooms struct {
				Join map[string]struct {
					Timeline struct{ Events []mx.Event }
					Sticky   struct{ Events []mx.Event } `json:"msc4354_sticky"`
				}
			}
		}
		mx.Must(t, c.Do(ctx, "GET", "/_matrix/client/v3/sync?timeout=5000&since="+url.QueryEscape(since), nil, &s))
		since = s.Next
		r, found := s.Rooms.Join[id], false
		for _, e := range append(r.Timeline.Events, r.Sticky.Events...) {
			found = found || e.ID == event
			for _, o := range others {
				if e.ID == o {
					came = append(came, o)
				}
			}
		}
		if found {
			return came
		}
	}
}

// A server that comes into a room is given what its servers have said there that still sticks, however long ago that was in the
// timeline; what was redacted, and what does not stick, it is not.
func TestWhoComesIsGivenWhatSticks(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	hall, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	kept, err := stick(ctx, p.alice, hall, "kept", "in the call")
	mx.Must(t, err)
	redacted, err := stick(ctx, p.alice, hall, "redacted", "not meant")
	mx.Must(t, err)
	mx.Must(t, p.alice.Do(ctx, "PUT", room(hall)+"/redact/"+url.PathEscape(redacted)+"/r", map[string]any{}, nil))
	plain, err := p.alice.Send(ctx, hall, "plain", "a word")
	mx.Must(t, err)
	last := ""
	for i := range 30 {
		if last, err = p.alice.Send(ctx, hall, "more"+string(rune('a'+i)), "another word"); err != nil {
			t.Fatal(err)
		}
	}
	mx.Must(t, joinVia(ctx, p.bob, hall, p.a.Name))
	if came := told(t, p.bob, hall, kept, redacted, plain, last); len(came) > 0 {
		t.Errorf("told besides what sticks: %v", came)
	}
	// A second person of that server is no new server: his own server tells him.
	carol, err := mx.Register(ctx, p.b.URL, "carol")
	mx.Must(t, err)
	mx.Must(t, joinVia(ctx, carol, hall, p.a.Name))
	told(t, carol, hall, kept)
}

// What somebody who was banned said without knowing it is kept from the people of those who knew; should he come back while it
// sticks, they hear of it then.
func TestWhatSticksIsJudgedAgain(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	hall, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, joinVia(ctx, p.bob, hall, p.a.Name))
	waitFor(t, p.alice, hall, p.bob.UserID, `"membership":"join"`)

	boss := administrator(t, p.a)

	p.a.Kill()
	sticks, err := stick(ctx, p.bob, hall, "sticks", "in the call")
	mx.Must(t, err)
	plain, err := p.bob.Send(ctx, hall, "plain", "a word")
	mx.Must(t, err)
	p.b.Kill()
	p.a.Restart()
	mx.Must(t, p.alice.Do(ctx, "POST", room(hall)+"/ban", map[string]string{"user_id": p.bob.UserID}, nil))
	p.b.Restart()
	putOut(t, p.bob, hall)
	keeps(t, boss, sticks)
	keeps(t, boss, plain)
	if err := p.alice.Do(ctx, "GET", room(hall)+"/event/"+url.PathEscape(sticks), nil, nil); err == nil {
		t.Fatal("what a banned person said is shown")
	}

	mx.Must(t, p.alice.Do(ctx, "POST", room(hall)+"/unban", map[string]string{"user_id": p.bob.UserID}, nil))
	mx.Must(t, joinVia(ctx, p.bob, hall, p.a.Name))
	if came := told(t, p.alice, hall, sticks, plain); len(came) > 0 {
		t.Errorf("what does not stick is told too")
	}
	p.a.Kill()
	p.a.Restart()
	told(t, p.alice, hall, sticks)
}

// putOut waits until somebody is in a room no more.
func putOut(t *testing.T, c *mx.Client, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mx.Patience)
	defer cancel()
	for ctx.Err() == nil {
		since := newest(t, c)
		var in struct {
			Rooms []string `json:"joined_rooms"`
		}
		mx.Must(t, c.Do(t.Context(), "GET", "/_matrix/client/v3/joined_rooms", nil, &in))
		if !slices.Contains(in.Rooms, id) {
			return
		}
		mx.Must(t, c.Do(t.Context(), "GET", "/_matrix/client/v3/sync?timeout=1000&since="+url.QueryEscape(since), nil, nil))
	}
	t.Fatalf("%s is still in %s", c.UserID, id)
}

// administrator makes an account of an administrator, by the shared secret that servers of tests have.
func administrator(t *testing.T, s *live.Server) *mx.Client {
	t.Helper()
	const path = "/_synapse/admin/v1/register"
	c := &mx.Client{URL: s.URL}
	var begun struct{ Nonce string }
	mx.Must(t, c.Do(t.Context(), "GET", path, nil, &begun))
	mac := hmac.New(sha1.New, []byte("live"))
	mac.Write([]byte(begun.Nonce + "\x00boss\x00boss-password\x00admin"))
	var made struct {
		Token string `json:"access_token"`
		User  string `json:"user_id"`
	}
	mx.Must(t, c.Do(t.Context(), "POST", path, map[string]any{"nonce": begun.Nonce, "username": "boss", "password": "boss-password",
		"admin": true, "mac": hex.EncodeToString(mac.Sum(nil))}, &made))
	c.Token, c.UserID = made.Token, made.User
	return c
}

// keeps waits until a server has an event, shown or not: its administrator may look.
func keeps(t *testing.T, boss *mx.Client, event string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mx.Patience)
	defer cancel()
	for {
		err := boss.Do(ctx, "GET", "/_synapse/admin/v1/fetch_event/"+url.PathEscape(event), nil, nil)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s has not come: %v", event, err)
		}
		// The administrator waits for news of his own, for which there are none.
		mx.Must(t, boss.Do(t.Context(), "GET", "/_matrix/client/v3/sync?timeout=200&since="+url.QueryEscape(newest(t, boss)), nil, nil))
	}
}

// newest is a sync token of now.
func newest(t *testing.T, c *mx.Client) string {
	t.Helper()
	s, err := c.Sync(t.Context(), "", 0)
	mx.Must(t, err)
	return s.NextBatch
}

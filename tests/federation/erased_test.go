package federation

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"rempart/internal/testkit/mx"
)

// TestWhatErasedUsersSaidIsNotHandedToNewServers closes an account with erasure before another server joins: it gets the
// conversation from before without her words.
// Spec: client-server-api/#post_matrixclientv3accountdeactivate
func TestWhatErasedUsersSaidIsNotHandedToNewServers(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	carol, err := mx.Register(ctx, p.a.URL, "carol")
	mx.Must(t, err)
	room, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, carol.Join(ctx, room))
	_, err = carol.Send(ctx, room, "1", "her secret")
	mx.Must(t, err)
	_, err = p.alice.Send(ctx, room, "1", "an answer")
	mx.Must(t, err)
	mx.Must(t, carol.Do(ctx, "POST", "/_matrix/client/v3/account/deactivate", map[string]any{"erase": true, "auth": map[string]any{
		"type": "m.login.password", "password": "pass word carol", "identifier": map[string]any{"type": "m.id.user", "user": "carol"},
	}}, nil))
	waitFor(t, p.alice, room, carol.UserID, `"membership":"leave"`)

	mx.Must(t, joinVia(ctx, p.bob, room, p.a.Name))
	from, all := "", ""
	for !strings.Contains(all, "m.room.create") { // what bob's server does not have it asks for
		var page struct {
			Chunk []json.RawMessage
			End   string
		}
		mx.Must(t, p.bob.Do(ctx, "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/messages?dir=b&limit=50"+from, nil, &page))
		for _, e := range page.Chunk {
			all += string(e) + "\n"
		}
		if page.End == "" {
			break
		}
		from = "&from=" + url.QueryEscape(page.End)
	}
	if !strings.Contains(all, "an answer") || strings.Contains(all, "her secret") {
		t.Errorf("another server that came later reads:\n%s", all)
	}
	var mine json.RawMessage
	mx.Must(t, p.alice.Do(ctx, "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/messages?dir=b&limit=50", nil, &mine))
	if !strings.Contains(string(mine), "her secret") {
		t.Errorf("who was there reads:\n%s", mine)
	}
}

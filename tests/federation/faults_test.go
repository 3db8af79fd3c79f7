package federation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/mx"
)

// An upgrade reaches the other servers: who is there hears of the tombstone, finds the new room from it, and gets along there.
func TestAnUpgradeReachesOtherServers(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	for _, version := range [][2]string{{"10", "11"}, {"11", "12"}, {"12", "12"}} {
		old, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "public_chat", "room_version": version[0], "name": "Old hall"})
		mx.Must(t, err)
		mx.Must(t, joinVia(ctx, p.bob, old, p.a.Name))
		var res struct {
			Room string `json:"replacement_room"`
		}
		mx.Must(t, p.alice.Do(ctx, "POST", room(old)+"/upgrade", map[string]string{"new_version": version[1]}, &res))
		waitFor(t, p.bob, old, "m.room.tombstone", res.Room)
		mx.Must(t, joinVia(ctx, p.bob, res.Room, p.a.Name))
		waitFor(t, p.bob, res.Room, "m.room.create", old)
		waitFor(t, p.bob, res.Room, "m.room.name", "Old hall")
		said, err := p.bob.Send(ctx, res.Room, "1", "moved in")
		mx.Must(t, err)
		waitFor(t, p.alice, res.Room, said, "moved in")
		// What the upgrade set in the old room is there too: nobody but administrators speaks there any more.
		waitFor(t, p.bob, old, "m.room.power_levels", `"events_default":50`)
		_, err = p.bob.Send(ctx, old, "2", "still here")
		refused(t, "to speak in the old room", err)
	}
}

// An invitation that is withdrawn is gone at the other server too, whether or not that is in the room.
func TestAWithdrawnInvitationIsGoneElsewhere(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	for _, version := range []string{"10", "12"} {
		hall, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "private_chat", "room_version": version, "invite": []string{p.bob.UserID}})
		mx.Must(t, err)
		invitedTo(t, p.bob, hall, true)
		mx.Must(t, p.alice.Do(ctx, "POST", room(hall)+"/kick", map[string]string{"user_id": p.bob.UserID}, nil))
		invitedTo(t, p.bob, hall, false)
		refused(t, "to join without an invitation", joinVia(ctx, p.bob, hall, p.a.Name))
	}
}

// invitedTo waits until somebody is, or is not, invited to a room.
func invitedTo(t *testing.T, c *mx.Client, id string, want bool) {
	t.Helper()
	since := ""
	for end := time.Now().Add(patience); time.Now().Before(end); {
		var s struct {
			Next  string `json:"next_batch"`
			Rooms struct {
				Invite map[string]json.RawMessage
			}
		}
		mx.Must(t, c.Do(t.Context(), "GET", "/_matrix/client/v3/sync?timeout=1000&set_presence=offline&since="+url.QueryEscape(since), nil, &s))
		var whole struct {
			Rooms struct {
				Invite map[string]json.RawMessage
			}
		}
		mx.Must(t, c.Do(t.Context(), "GET", "/_matrix/client/v3/sync", nil, &whole))
		if _, is := whole.Rooms.Invite[id]; is == want {
			return
		}
		since = s.Next
	}
	t.Fatalf("%s is invited to %s: %t", c.UserID, id, !want)
}

// Pages through a room's history hold each event once, also where part of it was fetched from another server.
func TestPagesRepeatNoEvents(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	hall, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	said := map[string]bool{}
	for i := range 45 {
		id, err := p.alice.Send(ctx, hall, fmt.Sprint(i), "before")
		mx.Must(t, err)
		said[id] = true
	}
	mx.Must(t, joinVia(ctx, p.bob, hall, p.a.Name))
	for i := range 5 {
		id, err := p.bob.Send(ctx, hall, fmt.Sprint("b", i), "after")
		mx.Must(t, err)
		said[id] = true
	}
	seen := map[string]int{}
	for from := ""; ; {
		var page struct {
			Chunk []mx.Event
			End   string
		}
		q := url.Values{"dir": {"b"}, "limit": {"7"}}
		if from != "" {
			q.Set("from", from)
		}
		mx.Must(t, p.bob.Do(ctx, http.MethodGet, room(hall)+"/messages?"+q.Encode(), nil, &page))
		for _, e := range page.Chunk {
			if seen[e.ID]++; seen[e.ID] > 1 {
				t.Errorf("%s is on two pages", e.ID)
			}
			delete(said, e.ID)
		}
		if from = page.End; from == "" {
			break
		}
	}
	if len(said) > 0 {
		t.Errorf("%d events are on no page", len(said))
	}
}

// Operators see a room's graph beside the running server, and are told how it is repaired.
func TestCommandsAboutRooms(t *testing.T) {
	p, ctx := newPair(t), t.Context()
	hall, err := p.alice.CreateRoom(ctx, map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	mx.Must(t, joinVia(ctx, p.bob, hall, p.a.Name))
	out, err := p.b.Command("room", "show", hall)
	var c struct {
		Servers []struct{ Server string }
		Joined  int
	}
	if err != nil || json.Unmarshal([]byte(out), &c) != nil || c.Joined != 2 || len(c.Servers) != 2 {
		t.Errorf("room show: %v\n%s", err, out)
	}
	if out, err = p.b.Command("room", "repair", hall); err == nil || !strings.Contains(out, "/repair") {
		t.Errorf("a room is repaired behind the back of the running server: %v\n%s", err, out)
	}
	p.b.Stop()
	out, err = p.b.Command("room", "repair", hall)
	var r struct {
		Asked []struct{ Server, Error string }
	}
	if err != nil || json.Unmarshal([]byte(out), &r) != nil || len(r.Asked) != 1 || r.Asked[0].Server != p.a.Name || r.Asked[0].Error != "" {
		t.Errorf("room repair: %v\n%s", err, out)
	}
	p.b.Restart()
	said, err := p.bob.Send(ctx, hall, "1", "all is well")
	mx.Must(t, err)
	waitFor(t, p.alice, hall, said)
}

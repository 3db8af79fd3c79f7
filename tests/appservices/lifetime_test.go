package appservices

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// What has had its day is shown by no answer of the real server, however it is asked; what has not is shown by each. A bridge says what is old:
// it may send with a time of its own. MSC1763
func TestWhatHasHadItsDayIsShownToNobody(t *testing.T) { engines(t, whatHasHadItsDay) }

// Marks of what is said: by them an answer shows what it holds.
const (
	oldMark  = "autrefois"
	keptMark = "naguère"
)

func whatHasHadItsDay(t *testing.T, o live.Options) {
	ctx := t.Context()
	o.Extra = "retention:\n  messages: true\n  messages_default_days: 30\n"
	s := live.Start(t, withService(t, o, newFake(t).URL, ""))
	alice, err := mx.Register(ctx, s.URL, "alice")
	mx.Must(t, err)
	id := room(ctx, t, s, alice)
	in := v3 + "/rooms/" + url.PathEscape(id)
	ago := func(days int) int64 { return time.Now().AddDate(0, 0, -days).UnixMilli() }
	sent := 0
	say := func(ts int64, text, root string) string {
		t.Helper()
		content := map[string]any{"msgtype": "m.text", "body": text + " alice"} // her name notifies
		if root != "" {
			content["m.relates_to"] = map[string]any{"rel_type": "m.thread", "event_id": root}
		}
		var out struct {
			ID string `json:"event_id"`
		}
		sent++
		mx.Must(t, as(ctx, s, "", "PUT", fmt.Sprintf("%s/send/m.room.message/%d?ts=%d", in, sent, ts), content, &out))
		return out.ID
	}
	old := say(ago(40), oldMark+" root", "")
	say(ago(39), oldMark+" reply", old)
	kept := say(ago(20), keptMark+" root", "")
	say(ago(19), keptMark+" reply", kept)

	r := &reader{t, alice}
	first := r.reads(ctx, "GET", v3+"/sync", nil)
	for _, path := range []string{in + "/messages?dir=b&limit=100", in + "/messages?dir=f&limit=100", in + "/context/" + url.PathEscape(kept) + "?limit=100",
		in + "/event/" + url.PathEscape(kept), "/_matrix/client/v1/rooms/" + url.PathEscape(id) + "/relations/" + url.PathEscape(kept),
		"/_matrix/client/v1/rooms/" + url.PathEscape(id) + "/threads", v3 + "/notifications?limit=100", in + "/initialSync"} {
		r.reads(ctx, "GET", path, nil)
	}
	r.reads(ctx, "POST", v3+"/search", map[string]any{"search_categories": map[string]any{"room_events": map[string]any{"search_term": "alice",
		"event_context": map[string]any{"before_limit": 5, "after_limit": 5}}}})
	slide := func(pos string) json.RawMessage {
		return r.reads(ctx, "POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0"+pos, map[string]any{"conn_id": "one",
			"lists": map[string]any{"all": map[string]any{"ranges": [][]int{{0, 9}}, "timeline_limit": 50, "required_state": [][]string{}}}})
	}
	var at struct {
		Pos  string `json:"pos"`
		Next string `json:"next_batch"`
	}
	mx.Must(t, json.Unmarshal(slide(""), &at))
	mx.Must(t, json.Unmarshal(first, &at))
	// What comes now with a time of then is told to nobody either.
	say(ago(41), oldMark+" late", "")
	say(ago(1), keptMark+" late", "")
	r.reads(ctx, "GET", v3+"/sync?since="+url.QueryEscape(at.Next), nil)
	slide("&pos=" + url.QueryEscape(at.Pos))
	for _, path := range []string{in + "/event/", in + "/context/", "/_matrix/client/v1/rooms/" + url.PathEscape(id) + "/relations/"} {
		refused(t, alice.Do(ctx, "GET", path+url.PathEscape(old), nil, nil), 404, "M_NOT_FOUND")
	}

	s.Kill()
	s.Restart()
	r.reads(ctx, "GET", v3+"/sync", nil)
	out, err := s.Command("room", "show", id)
	if err != nil || !strings.Contains(out, fmt.Sprintf(`"message_lifetime_ms": %d`, 30*24*3600*1000)) {
		t.Errorf("room show: %v\n%s", err, out)
	}
	// The room itself may keep them for longer.
	mx.Must(t, alice.Do(ctx, "PUT", in+"/state/m.room.retention/", map[string]any{"max_lifetime": int64(90 * 24 * 3600 * 1000)}, nil))
	mx.Must(t, alice.Do(ctx, "PUT", in+"/state/m.room.retention/", map[string]any{"max_lifetime": "no number"}, nil))
	r.reads(ctx, "GET", in+"/messages?dir=b&limit=100", nil)
}

// reader looks at answers whole.
type reader struct {
	t *testing.T
	c *mx.Client
}

// reads makes a request whose answer must hold what is kept and nothing of old.
func (r *reader) reads(ctx context.Context, method, path string, body any) (raw json.RawMessage) {
	r.t.Helper()
	mx.Must(r.t, r.c.Do(ctx, method, path, body, &raw))
	if text := string(raw); strings.Contains(text, oldMark) || !strings.Contains(text, keptMark) {
		r.t.Errorf("%s %s: %s", method, path, text)
	}
	return raw
}

package prove

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
	"rempart/policy"
)

// TestServerMovesToPostgreSQL begins a server with SQLite, lets people live on it, and moves it: whoever was logged in goes on where he was,
// and finds all that was there.
func TestServerMovesToPostgreSQL(t *testing.T) {
	if !pgtest.Wanted() {
		t.Skip("needs PostgreSQL")
	}
	ctx, dir, target := context.Background(), t.TempDir(), pgtest.New(t)
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy.Commented()), 0o600); err != nil {
		t.Fatal(err)
	}
	extra := "policy:\n  file: policy.yaml\n"
	s := live.Start(t, live.Options{Dir: dir, Extra: extra})
	h := settle(ctx, t, s.URL)
	if out, err := s.Command("database", "move", target); err == nil || !strings.Contains(out, "stop the server first") {
		t.Fatalf("moved under a running server: %s", out)
	}
	before := h.sees(ctx, t)
	s.Stop()
	verified, err := s.Command("ledger", "verify")
	if err != nil || strings.HasPrefix(verified, "0 records") {
		t.Fatalf("%v: %s", err, verified)
	}
	bytesOf := func() [32]byte {
		raw, err := os.ReadFile(filepath.Join(dir, "rempart.db"))
		mx.Must(t, err)
		return sha256.Sum256(raw)
	}
	file := bytesOf()
	out, err := s.Command("database", "move", target)
	if err != nil || !strings.Contains(out, "found equal") || !strings.Contains(out, "url: postgres://") {
		t.Fatalf("%v: %s", err, out)
	}
	if bytesOf() != file {
		t.Error("the SQLite database was changed")
	}
	if out, err := s.Command("database", "move", target); err == nil || !strings.Contains(out, "holds tables already") {
		t.Errorf("moved a second time: %s", out)
	}
	moved := live.Start(t, live.Options{Dir: dir, Extra: extra, Postgres: target})
	h.anna.URL, h.bert.URL = moved.URL, moved.URL
	if after := h.sees(ctx, t); !slices.Equal(after, before) {
		t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	h.goOn(ctx, t)
	moved.Stop()
	again, err := moved.Command("ledger", "verify")
	if err != nil {
		t.Errorf("%v: %s", err, again)
	}
	var was, is int
	_, _ = fmt.Sscanf(verified, "%d records", &was)
	_, _ = fmt.Sscanf(again, "%d records", &is)
	if was == 0 || is < was {
		t.Errorf("the record had %d entries and has %d", was, is)
	}
}

// household is two people, their encrypted room, and what waits for one of them.
type household struct {
	anna, bert  *mx.Client
	room, media string
	since       string   // where bert's sync stands
	waits       []string // the events that he has not seen
}

// settle makes people who talk.
func settle(ctx context.Context, t *testing.T, url string) *household {
	t.Helper()
	h := &household{}
	var err error
	h.anna, err = mx.Register(ctx, url, "anna")
	mx.Must(t, err)
	h.bert, err = mx.Register(ctx, url, "bert")
	mx.Must(t, err)
	for _, c := range []*mx.Client{h.anna, h.bert} {
		mx.Must(t, c.Do(ctx, "POST", "/_matrix/client/v3/keys/upload", map[string]any{"device_keys": map[string]any{
			"user_id": c.UserID, "device_id": c.DeviceID, "algorithms": []string{"m.olm.v1.curve25519-aes-sha2"}, "keys": map[string]string{"ed25519:" + c.DeviceID: "key of " + c.UserID},
			"signatures": map[string]any{c.UserID: map[string]string{"ed25519:" + c.DeviceID: "sig"}}},
			"one_time_keys": map[string]any{"signed_curve25519:AAAA": map[string]any{"key": "once", "signatures": map[string]any{}}}}, nil))
		mx.Must(t, c.Do(ctx, "PUT", "/_matrix/client/v3/user/"+c.UserID+"/account_data/org.example.note", map[string]any{"of": c.UserID, "é": "☃"}, nil))
	}
	h.room, err = h.anna.CreateRoom(ctx, map[string]any{"preset": "public_chat", "name": "Bureau", "initial_state": []any{
		map[string]any{"type": "m.room.encryption", "state_key": "", "content": map[string]any{"algorithm": "m.megolm.v1.aes-sha2"}}}})
	mx.Must(t, err)
	mx.Must(t, h.bert.Join(ctx, h.room))
	h.encrypted(ctx, t, 0, 10)
	var up struct {
		URI string `json:"content_uri"`
	}
	mx.Must(t, h.anna.Do(ctx, "POST", "/_matrix/media/v3/upload?filename=a.json", map[string]string{"in": "a file"}, &up))
	h.media = strings.TrimPrefix(up.URI, "mxc://")
	first, err := h.bert.Sync(ctx, "", 0)
	mx.Must(t, err)
	h.since = first.NextBatch
	h.waits = h.encrypted(ctx, t, 10, 15)
	mx.Must(t, h.anna.Do(ctx, "PUT", "/_matrix/client/v3/sendToDevice/m.room.encrypted/1", map[string]any{
		"messages": map[string]any{h.bert.UserID: map[string]any{h.bert.DeviceID: map[string]string{"ciphertext": "a room key"}}}}, nil))
	return h
}

// encrypted says things, and gives the events' ids.
func (h *household) encrypted(ctx context.Context, t *testing.T, from, to int) (ids []string) {
	t.Helper()
	for i := from; i < to; i++ {
		var res struct {
			EventID string `json:"event_id"`
		}
		mx.Must(t, h.anna.Do(ctx, "PUT", fmt.Sprintf("/_matrix/client/v3/rooms/%s/send/m.room.encrypted/e%d", url.PathEscape(h.room), i),
			map[string]any{"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": strings.Repeat("x", 100+i), "session_id": "s", "device_id": h.anna.DeviceID, "sender_key": "k"}, &res))
		ids = append(ids, res.EventID)
	}
	return ids
}

// sees is all that bert can read, but for what stands in his sync.
func (h *household) sees(ctx context.Context, t *testing.T) (all []string) {
	t.Helper()
	events, err := h.bert.History(ctx, h.room)
	mx.Must(t, err)
	for _, e := range events {
		all = append(all, e.ID+" "+e.Type+" "+string(e.Content))
	}
	path := "/_matrix/client/v3/rooms/" + url.PathEscape(h.room)
	for _, p := range []string{path + "/joined_members", "/_matrix/client/v3/user/" + h.bert.UserID + "/account_data/org.example.note",
		"/_matrix/client/v1/media/download/" + h.media, "/_matrix/client/v3/devices", "/_matrix/client/v3/pushrules/"} {
		var raw json.RawMessage
		if err := h.bert.Do(ctx, "GET", p, nil, &raw); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if strings.HasSuffix(p, "/devices") { // when he was seen last changes with each question
			raw = json.RawMessage(fmt.Sprint(strings.Count(string(raw), h.bert.DeviceID)))
		}
		all = append(all, p+" "+string(raw))
	}
	var state []mx.Event
	mx.Must(t, h.bert.Do(ctx, "GET", path+"/state", nil, &state))
	var pieces []string
	for _, e := range state {
		pieces = append(pieces, e.ID+" "+e.Type+" "+*e.StateKey)
	}
	slices.Sort(pieces)
	var keys json.RawMessage
	mx.Must(t, h.bert.Do(ctx, "POST", "/_matrix/client/v3/keys/query", map[string]any{"device_keys": map[string]any{h.anna.UserID: []string{}}}, &keys))
	return append(append(all, pieces...), string(keys))
}

// goOn continues with the same tokens at another process.
func (h *household) goOn(ctx context.Context, t *testing.T) {
	t.Helper()
	next, err := h.bert.Sync(ctx, h.since, 0)
	mx.Must(t, err)
	room := next.Rooms.Join[h.room]
	var got []string
	for _, e := range room.Timeline.Events {
		got = append(got, e.ID)
	}
	if !slices.Equal(got, h.waits) || room.Timeline.Limited || len(room.State.Events) > 0 {
		t.Errorf("the sync goes on with %v, not with %v", got, h.waits)
	}
	if len(next.ToDevice.Events) != 1 || next.OneTimeKeys["signed_curve25519"] != 1 {
		t.Errorf("to the device: %v; keys left: %v", next.ToDevice.Events, next.OneTimeKeys)
	}
	id, err := h.anna.Send(ctx, h.room, "after", "after the move")
	mx.Must(t, err)
	last, err := h.bert.Sync(ctx, next.NextBatch, 0)
	mx.Must(t, err)
	if e := last.Rooms.Join[h.room].Timeline.Events; len(e) != 1 || e[0].ID != id {
		t.Errorf("what is said after the move: %v", e)
	}
}

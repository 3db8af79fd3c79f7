package upgrade

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// dump is the name of PostgreSQL's part in an old data folder.
const dump = "dump.sql"

// Whatever an older server left is there after the first start of this one, and both people go on where they were.
func TestOldDataIsKept(t *testing.T) {
	kept, err := filepath.Glob("testdata/*.tar.gz")
	if err != nil || len(kept) == 0 {
		t.Fatal("no old data", err)
	}
	for _, file := range kept {
		name := strings.TrimSuffix(filepath.Base(file), ".tar.gz")
		t.Run(name, func(t *testing.T) {
			o := live.Options{Dir: t.TempDir()}
			unpack(t, file, o.Dir)
			if strings.HasSuffix(name, "postgres") {
				if !pgtest.Wanted() {
					t.Skip("REMPART_TEST_ENGINES=sqlite")
				}
				o.Postgres = pgtest.New(t)
				load(t, o.Postgres, filepath.Join(o.Dir, dump))
			}
			raw, err := os.ReadFile(filepath.Join(o.Dir, "told.json"))
			mx.Must(t, err)
			var k told
			mx.Must(t, json.Unmarshal(raw, &k))
			server := live.Start(t, o)
			k.Alice.URL, k.Bob.URL = server.URL, server.URL
			k.compare(t)
			server.Kill()
			server.Restart() // which finds its own tables
			k.compare(t)
			k.goOn(t)
		})
	}
}

// goOn has both people go on where they were.
func (k *told) goOn(t *testing.T) {
	ctx := t.Context()
	answer, err := k.Bob.Sync(ctx, k.Since, 0)
	mx.Must(t, err)
	var later []string
	for _, e := range answer.Rooms.Join[k.Room].Timeline.Events {
		later = append(later, e.ID)
	}
	if strings.Join(later, " ") != strings.Join(k.Later, " ") || answer.Rooms.Join[k.Room].Timeline.Limited {
		t.Errorf("since the old place Bob is told %v, want %v", later, k.Later)
	}
	if got := answer.ToDevice.Events; len(got) != 1 || got[0].Type != "org.example.kept" {
		t.Errorf("messages to Bob's device: %v", got)
	}
	if n := answer.OneTimeKeys["curve25519"]; n != 1 {
		t.Errorf("%d one-time keys are left, want 1", n)
	}
	req, err := http.NewRequestWithContext(ctx, "GET", k.Bob.URL+"/_matrix/client/v1/media/download/"+strings.TrimPrefix(k.Picture, "mxc://"), nil)
	mx.Must(t, err)
	if got := answered(t, &k.Bob, req); string(got) != picture {
		t.Errorf("the picture is %q", got)
	}
	again := mx.Client{URL: k.Alice.URL}
	mx.Must(t, again.Do(ctx, "POST", "/_matrix/client/v3/login", map[string]any{
		"type": "m.login.password", "identifier": map[string]string{"type": "m.id.user", "user": "alice"}, "password": "pass word alice", "device_id": k.Alice.DeviceID,
	}, nil))
	sent, err := k.Bob.Send(ctx, k.Room, "after", "after the upgrade")
	mx.Must(t, err)
	if next, err := k.Bob.Sync(ctx, answer.NextBatch, 0); err != nil || len(next.Rooms.Join[k.Room].Timeline.Events) != 1 || next.Rooms.Join[k.Room].Timeline.Events[0].ID != sent {
		t.Errorf("what is said after the upgrade: %+v %v", next, err)
	}
	mx.Must(t, k.Bob.Do(ctx, "PUT", "/_matrix/client/v3/rooms/"+k.Room+"/redact/"+sent+"/after", map[string]any{}, nil))
}

// compare asks again what was asked of the older server.
func (k *told) compare(t *testing.T) {
	t.Helper()
	for _, l := range k.looks() {
		if got, err := k.answer(t.Context(), l); err != nil || got != k.Answers[l.name] {
			t.Errorf("%s: %.2000s %v\nbefore: %.2000s", l.name, got, err, k.Answers[l.name])
		}
	}
}

package sovereign

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/mx"
)

// onMission has Alice read from the United States, as a proxy in front says: without a mission, under one for another country, under one that
// is for it, and when that was ended. The record says each time that she read there, and of the third alone by whose leave.
func (w *town) onMission(room string) {
	t, ctx := w.l.t, w.l.t.Context()
	t.Helper()
	read := func() {
		t.Helper()
		req, _ := http.NewRequestWithContext(ctx, "GET", w.URL+"/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/messages?dir=b", nil)
		req.Header.Set("Authorization", "Bearer "+w.alice.Token)
		req.Header.Set("X-Forwarded-For", "127.12.0.9")
		res, err := http.DefaultClient.Do(req)
		mx.Must(t, err)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("she cannot read: %s", res.Status)
		}
	}
	grant := func(country string) string {
		t.Helper()
		var m struct{ ID int64 }
		mx.Must(t, w.boss.Do(ctx, "POST", "/_rempart/admin/v1/missions", object{"user_id": w.alice.UserID, "country": country, "note": "conference",
			"from_ts": time.Now().Add(-time.Hour).UnixMilli(), "until_ts": time.Now().Add(time.Hour).UnixMilli()}, &m))
		return fmt.Sprint(m.ID)
	}
	var want []string
	expect := func(mission string) {
		t.Helper()
		want = append(want, mission)
		read()
		var got []string
		for _, e := range w.asks("read-abroad") { // what is asked for is written first
			if e.CC != "US" || e.Place != "outside" || e.Session == "" {
				t.Errorf("a read abroad: %+v", e)
			}
			got = append(got, e.Mission)
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("read under the missions %q, not %q", got, want)
		}
	}
	expect("")
	grant("DE")
	expect("")
	id := grant("US")
	expect(id)
	var ended struct {
		Until int64  `json:"until_ts"`
		By    string `json:"approver"`
	}
	mx.Must(t, w.boss.Do(ctx, "POST", "/_rempart/admin/v1/missions/"+id+"/end", object{}, &ended))
	if ended.Until > time.Now().UnixMilli() || ended.By != w.boss.UserID {
		t.Errorf("ended: %+v", ended)
	}
	expect("")
	var list struct{ Missions []struct{ ID int64 } }
	mx.Must(t, w.boss.Do(ctx, "GET", "/_rempart/admin/v1/missions?user_id="+url.QueryEscape(w.alice.UserID), nil, &list))
	if len(list.Missions) != 2 {
		t.Errorf("missions: %+v", list)
	}
	if err := w.alice.Do(ctx, "POST", "/_rempart/admin/v1/missions", object{"user_id": w.alice.UserID, "country": "US", "from_ts": 1, "until_ts": 2}, nil); err == nil {
		t.Error("she gave herself a mission")
	}
	for _, bad := range []object{{"country": "usa"}, {"until_ts": 1}, {"user_id": "@nobody:mairie.lab"}, {"user_id": "@a:prefecture.lab"}} {
		m := object{"user_id": w.alice.UserID, "country": "US", "from_ts": time.Now().UnixMilli(), "until_ts": time.Now().Add(time.Hour).UnixMilli()}
		for k, v := range bad {
			m[k] = v
		}
		if err := w.boss.Do(ctx, "POST", "/_rempart/admin/v1/missions", m, nil); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if left := w.asks("left-territory"); len(left) != 0 {
		t.Errorf("what she read counts as having left: %+v", left)
	}
	out, err := w.Command("mission", "list", "-user", "alice")
	if err != nil || strings.Count(out, w.alice.UserID) != 2 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestMissionCommands gives and ends a mission by the commands.
func TestMissionCommands(t *testing.T) {
	l := newLab(t)
	w := l.town("mairie.lab", "127.10.0.1", french, "")
	w.Stop()
	out, err := w.Command("mission", "grant", "-country", "BE", "-from", "2026-01-01", "-to", "2026-01-03", "-note", "meeting", "alice")
	if err != nil || !strings.Contains(out, "@alice:mairie.lab may be in BE") {
		t.Fatalf("%v: %s", err, out)
	}
	id := strings.TrimSuffix(strings.Fields(out)[1], ":")
	if out, err = w.Command("mission", "end", id); err != nil || !strings.Contains(out, "is over since 2026-01-04 00:00") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := w.Command("mission", "end", "1"); err == nil {
		t.Error("a mission that is not there was ended")
	}
	if _, err := w.Command("mission", "grant", "-country", "BE", "-from", "2026-01-03", "-to", "2026-01-01", "alice"); err == nil {
		t.Error("a mission that ends before it begins")
	}
}

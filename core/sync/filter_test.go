package sync

import (
	"testing"

	"rempart/internal/matrix"
)

func TestParseFilter(t *testing.T) {
	f, err := ParseFilter([]byte(`{"room":{"rooms":["!a:x"],"timeline":{"limit":500,"unread_thread_notifications":true},"state":{"lazy_load_members":true}}}`))
	if err != nil || f.Room.limit() != maxTimeline || !f.Room.lazy() || !f.Room.threads() || !f.Room.wants("!a:x") || f.Room.wants("!b:x") {
		t.Errorf("filter %+v, %v", f, err)
	}
	if f, err = ParseFilter([]byte(`{"room":{"timeline":{"limit":0}}}`)); err != nil || f.Room.limit() != 0 {
		t.Errorf("limit 0: %+v, %v", f, err)
	}
	if f, err = ParseFilter([]byte(`{}`)); err != nil || f.Room.limit() != defaultTimeline || f.Room.lazy() || !f.Room.wants("!b:x") {
		t.Errorf("no filter: %+v, %v", f, err)
	}
	for _, bad := range []string{`[]`, `{"room":[]}`, `{"room":{"timeline":{"limit":"x"}}}`, `{"room":{"timeline":{"limit":-1}}}`, `{"event_format":"odd"}`, `{`} {
		if _, err := ParseFilter([]byte(bad)); !matrix.HasCode(err, matrix.CodeBadJSON) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	f.Add([]byte(`{"room":{"timeline":{"limit":5,"types":["m.*"],"contains_url":true}},"event_fields":["a"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		filter, err := ParseFilter(raw)
		if err != nil {
			if !matrix.HasCode(err, matrix.CodeBadJSON) {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		filter.Room.Timeline.Match(&matrix.Event{Type: "m.room.message", Sender: "@a:x", Content: raw})
		if n := filter.Room.limit(); n < 0 || n > maxTimeline {
			t.Errorf("limit %d", n)
		}
	})
}

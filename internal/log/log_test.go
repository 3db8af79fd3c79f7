package log

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestJSONCarriesFieldsAndGroups(t *testing.T) {
	var out bytes.Buffer
	l := New("info", "json", &out).With("room", "!a:b").WithGroup("db")
	l.Warn("slow", "took", 2*time.Second, "error", errors.New("boom"), slog.Group("peer", "name", "x"), "empty", "")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"level": "warning", "msg": "slow", "room": "!a:b", "db.took": "2s", "db.error": "boom", "db.peer.name": "x"}
	for k, v := range want {
		if line[k] != v {
			t.Errorf("%s = %v, want %v", k, line[k], v)
		}
	}
	if _, ok := line["db.empty"]; ok {
		t.Error("an empty field was written")
	}
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		level string
		lines int
	}{{"debug", 4}, {"info", 3}, {"warn", 2}, {"error", 1}, {"nonsense", 3}} {
		var out bytes.Buffer
		l := New(c.level, "text", &out)
		l.Debug("d")
		l.Info("i")
		l.Warn("w")
		l.Error("e")
		if n := strings.Count(out.String(), "\n"); n != c.lines {
			t.Errorf("%s: %d lines, want %d", c.level, n, c.lines)
		}
	}
}

package push

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/ports"
)

// until waits for a metric to have a value.
func until(t *testing.T, address, name, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mx.Patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for last := ""; ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
		mx.Must(t, err)
		if res, err := http.DefaultClient.Do(req); err == nil {
			text, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			last = string(text)
		}
		if strings.Contains(last, "\n"+name+" "+value+"\n") {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s never was %s:\n%s", name, value, last)
		case <-tick.C:
		}
	}
}

// What gateways take and do not take is counted, and whether one fails is seen.
func TestMetrics(t *testing.T) {
	address := ports.Hold(t, "")
	s := live.Start(t, live.Options{Extra: open, Env: []string{"REMPART_LISTEN_METRICS=" + address}})
	g := newGateway(t)
	alice, bob := user(t, s, "alice"), user(t, s, "bob")
	id := room(t, bob, alice)
	mx.Must(t, set(alice, pusher(g, "phone")))
	g.event("phone", say(t, bob, id, "1"))
	until(t, address, "rempart_push_notifications", "1")
	until(t, address, "rempart_push_pushers", "1")
	until(t, address, "rempart_push_gateways_failing", "0")
	g.answers(http.StatusInternalServerError)
	second := say(t, bob, id, "2")
	until(t, address, "rempart_push_gateways_failing", "1")
	until(t, address, "rempart_push_waiting", "1")
	g.answers(http.StatusOK)
	g.event("phone", second)
	until(t, address, "rempart_push_gateways_failing", "0")
	until(t, address, "rempart_push_waiting", "0")
	until(t, address, "rempart_push_notifications", "2")
}

// The doctor asks each gateway that phones have named, by the way that notifications go, and says in plain words how it stands; of
// what phones put into the address it tells the host alone.
func TestDoctorAsksGateways(t *testing.T) {
	s := live.Start(t, live.Options{Extra: open})
	examine := func(fails bool, words string) {
		t.Helper()
		out, err := s.Command("doctor", "-push")
		if (err != nil) != fails || !strings.Contains(out, words) || strings.Contains(out, "/notify") {
			t.Errorf("want %q, got (%v)\n%s", words, err, out)
		}
	}
	examine(false, "no phone has named a push gateway")
	g := newGateway(t)
	alice := user(t, s, "alice")
	mx.Must(t, set(alice, pusher(g, "phone")))
	examine(false, "ok       push gateway "+g.addr+" (1 pushers): it takes notifications")
	g.answers(http.StatusNotFound)
	examine(true, "problem  push gateway "+g.addr+" (1 pushers): it answers 404")
	g.stop()
	examine(true, "problem  push gateway "+g.addr+" (1 pushers): it cannot be reached")
	config := filepath.Join(s.Dir, "rempart.yaml")
	raw, err := os.ReadFile(config)
	mx.Must(t, err)
	mx.Must(t, os.WriteFile(config, bytes.ReplaceAll(raw, []byte(`allow: ["127.0.0.1"]`), []byte(`allow: ["other.example"]`)), 0o600))
	examine(true, "problem  push gateway "+g.addr+" (1 pushers): the policy refuses it")
}

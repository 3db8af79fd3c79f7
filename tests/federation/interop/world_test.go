package interop

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// side is one of the two servers.
type side struct {
	kind   string // "rempart" or "other"
	name   string
	link   *fakenet.Link
	ours   *live.Server
	theirs *other
}

func (s *side) url() string {
	if s.ours != nil {
		return s.ours.URL
	}
	return s.theirs.url
}

// kill ends the process at once.
func (s *side) kill() {
	if s.ours != nil {
		s.ours.Kill()
	} else {
		s.theirs.end(syscall.SIGKILL)
	}
}

// restart starts the process again.
func (s *side) restart() {
	if s.ours != nil {
		s.ours.Restart()
	} else {
		s.theirs.start()
	}
}

// pid is the number of the process.
func (s *side) pid() int {
	if s.ours != nil {
		return s.ours.PID()
	}
	return s.theirs.cmd.Process.Pid
}

// world is the two servers and what both can do.
type world struct {
	ours, theirs *side
	versions     []string // room versions that are tried
}

// newWorld starts both servers. Without a launcher the other one is a Rempart too.
func newWorld(t *testing.T) *world {
	t.Helper()
	ca := fakenet.NewCA(t)
	b := fakenet.NewLink(t)
	w := newWorldBehind(t, ca, b.To)
	w.theirs.link = b
	return w
}

// newWorldBehind starts both servers, with something else than a link before the other one.
func newWorldBehind(t *testing.T, ca *fakenet.CA, before func(listen string) string) *world {
	t.Helper()
	a := fakenet.NewLink(t)
	w := &world{
		theirs: &side{kind: "other"},
		ours:   &side{kind: "rempart", name: a.Name(), link: a, ours: live.Start(t, live.Options{CA: ca, Relay: a.To})},
	}
	named := func(listen string) string { w.theirs.name = before(listen); return w.theirs.name }
	if os.Getenv("PEER_LAUNCHER") == "" {
		w.theirs.ours = live.Start(t, live.Options{CA: ca, Relay: named})
	} else {
		w.theirs.theirs = startOther(t, ca, named)
	}
	w.versions = w.common(t, "10", "12")
	return w
}

// common are those of some room versions that both servers know.
func (w *world) common(t *testing.T, among ...string) []string {
	t.Helper()
	known := map[string]int{}
	for _, s := range []*side{w.ours, w.theirs} {
		var res struct {
			Capabilities struct {
				Versions struct{ Available map[string]string } `json:"m.room_versions"`
			}
		}
		s.newPerson(t, "asker").call(t, "GET", "/capabilities", nil, &res)
		for v := range res.Capabilities.Versions.Available {
			known[v]++
		}
	}
	return slices.DeleteFunc(among, func(v string) bool { return known[v] != 2 })
}

// partition cuts both links, heal mends them.
func (w *world) partition() { w.ours.link.Cut(); w.theirs.link.Cut() }
func (w *world) heal()      { w.ours.link.Mend(); w.theirs.link.Mend() }

// state is the room's current state as somebody gets it: the event of each type and key, with all that all servers must tell alike.
func (p *person) state(t *testing.T, room string) map[[2]string]string {
	t.Helper()
	var list []struct {
		ID      string          `json:"event_id"`
		Type    string          `json:"type"`
		Key     string          `json:"state_key"`
		Sender  string          `json:"sender"`
		TS      json.Number     `json:"origin_server_ts"`
		Content json.RawMessage `json:"content"`
	}
	p.call(t, "GET", "/rooms/"+url.PathEscape(room)+"/state", nil, &list)
	out := map[[2]string]string{}
	for _, e := range list {
		var content any
		mx.Must(t, json.Unmarshal(e.Content, &content))
		canonical, err := json.Marshal(content) // whose keys are sorted
		mx.Must(t, err)
		out[[2]string{e.Type, e.Key}] = e.ID + " " + e.Sender + " " + e.TS.String() + " " + string(canonical)
	}
	return out
}

// agree waits until two people at different servers see the same state, event by event.
func agree(t *testing.T, room string, a, b *person) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		x, y := a.state(t, room), b.state(t, room)
		if maps.Equal(x, y) {
			return
		}
		select {
		case <-ctx.Done():
			differ(t, x, y, a, b)
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func differ(t *testing.T, x, y map[[2]string]string, a, b *person) {
	t.Helper()
	all := maps.Clone(x)
	maps.Copy(all, y)
	for k := range all {
		if x[k] != y[k] {
			t.Errorf("%v\n\t%s: %s\n\t%s: %s", k, a.UserID, x[k], b.UserID, y[k])
		}
	}
}

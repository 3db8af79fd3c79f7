package federation

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"rempart/internal/matrix"
	"rempart/internal/testkit/fakenet"
	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// arrivals notes when each server of a crowd was told each message. It may be used concurrently.
type arrivals struct {
	mu   sync.Mutex
	sent map[string]time.Time
	took []time.Duration
	seen map[matrix.ServerName][]string
	all  chan struct{} // closed when each living server has each message
	want int
}

// told is a crowd's.
func (a *arrivals) told(s *crowdServer, pdus []json.RawMessage) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, raw := range pdus {
		var e struct{ Content struct{ Body string } }
		if json.Unmarshal(raw, &e) != nil || e.Content.Body == "" {
			continue
		}
		a.seen[s.name] = append(a.seen[s.name], e.Content.Body)
		a.took = append(a.took, now.Sub(a.sent[e.Content.Body]))
		if a.want--; a.want == 0 {
			close(a.all)
		}
	}
}

// A room on 300 servers, of which 90 are gone, half of them without a word. The living are told every message, once and in order,
// and the dead do not hold them up. What it costs is printed, in full size by REMPART_PROVE=1.
func TestARoomOfManyServers(t *testing.T) {
	servers, dead, messages, pace := 30, 9, 5, 50*time.Millisecond
	if os.Getenv("REMPART_PROVE") == "1" {
		servers, dead, messages, pace = 300, 90, 60, time.Second
		debug.SetGCPercent(400) // Why: 300 servers in this process take the processor from the one that is measured
	}
	a := &arrivals{sent: map[string]time.Time{}, seen: map[matrix.ServerName][]string{}, all: make(chan struct{}), want: (servers - dead) * messages}
	ca := fakenet.NewCA(t)
	others := newCrowd(t, ca, servers, a.told)
	profile := profiling(t, "")
	home := live.Start(t, live.Options{CA: ca})
	alice, err := mx.Register(t.Context(), home.URL, "alice")
	mx.Must(t, err)
	room, err := alice.CreateRoom(t.Context(), map[string]any{"preset": "public_chat"})
	mx.Must(t, err)
	home.Stop()
	fill(t, &pair{a: home, alice: alice}, others, room, servers, servers)
	for i, s := range others.servers[:dead] {
		s.die(t, i%2 == 0)
	}
	home.Restart()
	idle, cpu, ended := memory(t, home.PID()), ticks(t, home.PID()), func() {}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	var want []string
	warm := cpu // when the connections are made and the dead are known
	for i := range messages {
		if i == messages/6 {
			warm, ended = ticks(t, home.PID()), profile()
		}
		body := fmt.Sprint("message ", i)
		want = append(want, body)
		a.mu.Lock()
		a.sent[body] = time.Now()
		a.mu.Unlock()
		_, err := alice.Send(t.Context(), room, body, body)
		mx.Must(t, err)
		<-tick.C
	}
	select {
	case <-a.all:
	case <-time.After(patience):
		t.Error("not all have everything")
	}
	cost := ticks(t, home.PID())
	ended()
	a.mu.Lock()
	took := slices.Sorted(slices.Values(a.took))
	a.mu.Unlock()
	back := others.rise(t, ca, others.servers[1:dead:dead], a, want[len(want)-1])
	settled := float64(cost-warm) * 10 / float64(messages-messages/6)
	cpu = cost - cpu
	a.mu.Lock()
	defer a.mu.Unlock()
	t.Logf("%d servers, %d of them dead, %d messages: %.0f ms at p50, %.0f at p95, %.0f at p99; %.1f ms of CPU a message, %.1f without the first sixth, %d MiB above idle at most, %d files open; who had refused connections was told %v after it was back without a word at most",
		servers, dead, messages, ms(took, 50), ms(took, 95), ms(took, 99), float64(cpu)*10/float64(messages), settled,
		(peak(t, home.PID())-idle)>>10, openFiles(t, home.PID()), back)
	for _, s := range others.servers[dead:] {
		if got := a.seen[s.name]; !slices.Equal(got, want) {
			t.Errorf("%s was told %v", s.name, got)
		}
		if s.most > 4 {
			t.Errorf("%d connections at once to one server", s.most)
		}
	}
}

// rise has every second of some dead servers be there again, and is how long it takes until all of them know of a message.
func (c *crowd) rise(t *testing.T, ca *fakenet.CA, dead []*crowdServer, a *arrivals, last string) time.Duration {
	t.Helper()
	began := time.Now()
	for i := 0; i < len(dead); i += 2 {
		dead[i].rise(t, ca)
	}
	for i := 0; i < len(dead); i += 2 {
		for knows := false; !knows; {
			a.mu.Lock()
			knows = slices.Contains(a.seen[dead[i].name], last)
			a.mu.Unlock()
			if time.Since(began) > patience {
				t.Errorf("%s is not told", dead[i].name)
				return 0
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return time.Since(began).Round(100 * time.Millisecond)
}

// ms is a percentile of sorted durations, in milliseconds.
func ms(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)*percent/100, len(sorted)-1)].Microseconds()) / 1000
}

// openFiles is how many files and connections a process has open.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	mx.Must(t, err)
	return len(list)
}

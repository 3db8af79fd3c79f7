package prove

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
)

// Many log in at once, passwords being hashed at the cost that the server ships with: each is let in or asked to come later, memory
// stays bounded, and afterwards whoever was asked to come later gets in.
func TestLoginsAtOnce(t *testing.T) {
	n, most := 200, 300
	if os.Getenv("REMPART_PROVE") != "" {
		n = 2500
	}
	s := live.Start(t, live.Options{Env: []string{"GOMAXPROCS=2", // Why: as many passwords are hashed at once, each in 19 MiB
		"REMPART_PASSWORD_ARGON2_TIME=2", "REMPART_PASSWORD_ARGON2_MEMORY_KIB=19456"}})
	people := make([]string, 8)
	for i := range people {
		people[i] = fmt.Sprint("person", i)
		_, err := mx.Register(t.Context(), s.URL, people[i])
		mx.Must(t, err)
	}
	try := func(name string) error {
		c := &mx.Client{URL: s.URL}
		return c.Do(t.Context(), "POST", "/_matrix/client/v3/login", map[string]any{"type": "m.login.password",
			"identifier": map[string]string{"type": "m.id.user", "user": name}, "password": "pass word " + name}, nil)
	}
	mx.Must(t, try(people[0]))
	var all sync.WaitGroup
	answers := make([]error, n)
	gate := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-gate
			answers[i] = try(people[i%len(people)])
		})
	}
	close(gate)
	all.Wait()
	in, later := 0, 0
	for _, err := range answers {
		var e *mx.Error
		switch {
		case err == nil:
			in++
		case errors.As(err, &e) && e.Status == 429 && e.Code == "M_LIMIT_EXCEEDED":
			later++
		default:
			t.Fatalf("neither let in nor asked to come later: %v", err)
		}
	}
	if in == 0 {
		t.Error("nobody was let in")
	}
	peak := peakMiB(t, s.PID())
	t.Logf("%d at once: %d let in, %d asked to come later; peak of memory %d MiB", n, in, later, peak)
	if peak > most {
		t.Errorf("memory rose to %d MiB, more than %d", peak, most)
	}
	for _, name := range people {
		mx.Must(t, try(name))
	}
}

// peakMiB is the most memory that a process has had.
func peakMiB(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	mx.Must(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			mx.Must(t, err)
			return n / 1024
		}
	}
	t.Fatal("the system does not tell")
	return 0
}

package clients

import (
	"bufio"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/pgtest"
)

//go:embed js/package.json js/package-lock.json js/run.js js/lib js/scenarios
var scenarioFiles embed.FS

//go:embed js/pending.json
var pendingList []byte

// hopeless bounds one scenario, whose own waits end long before.
const hopeless = 5 * time.Minute

// outcome is what run.js says of one scenario.
type outcome struct {
	Scenario, Error string
	OK              bool
	Log             []string
}

// TestScenarios plays what is in js/scenarios, on each engine, by matrix-js-sdk with Rust crypto.
func TestScenarios(t *testing.T) {
	wanted(t)
	names, pending := scenarios(t)
	dir := project(t, scenarioFiles, "js")
	onEngines(t, func(t *testing.T, o live.Options) {
		// Why: only a server that speaks with others answers third parties who holds an OpenID token.
		o.Extra = "federation:\n  allow: [\"friend.example\"]\n"
		p := &player{dir: dir, server: live.Start(t, o).URL}
		t.Cleanup(p.stop)
		for _, name := range names {
			t.Run(name, func(t *testing.T) { judge(t, p.play(t, name), pending[name]) })
		}
	})
}

// onEngines runs a test on each engine that is asked for.
func onEngines(t *testing.T, fn func(*testing.T, live.Options)) {
	if os.Getenv("REMPART_TEST_ENGINES") != "postgres" {
		t.Run("sqlite", func(t *testing.T) { fn(t, live.Options{}) })
	}
	if pgtest.Wanted() {
		t.Run("postgres", func(t *testing.T) { fn(t, live.Options{Postgres: pgtest.New(t)}) })
	}
}

// judge fails what failed, and also what passes though pending.json says that it cannot yet.
func judge(t *testing.T, got outcome, pending string) {
	t.Helper()
	switch {
	case got.OK && pending != "":
		t.Errorf("passes now: take it off js/pending.json, where it stands with %q", pending)
	case pending != "":
		reason, _, _ := strings.Cut(got.Error, "\n")
		t.Skipf("pending: %s (%s)", pending, reason)
	case !got.OK:
		t.Errorf("%s\n--- the client's log\n%s", got.Error, strings.Join(got.Log, "\n"))
	}
}

// scenarios lists the names and, of those that cannot pass yet, the reasons.
func scenarios(t *testing.T) (names []string, pending map[string]string) {
	t.Helper()
	files, err := fs.Glob(scenarioFiles, "js/scenarios/*.js")
	must(t, err)
	must(t, json.Unmarshal(pendingList, &pending))
	known := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".js")
		names, known[name] = append(names, name), true
	}
	for name, reason := range pending {
		if !known[name] || reason == "" {
			t.Errorf("js/pending.json: %q is no scenario, or has no reason", name)
		}
	}
	return names, pending
}

// player is a process that plays one scenario after the other. One that hangs is killed, the next gets a new one.
type player struct {
	dir, server string

	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan outcome
}

func (p *player) play(t *testing.T, name string) outcome {
	t.Helper()
	if p.cmd == nil {
		must(t, p.start())
	}
	if _, err := fmt.Fprintln(p.in, name); err != nil {
		p.stop()
		return outcome{Error: "node has ended: " + err.Error()}
	}
	timer := time.NewTimer(hopeless)
	defer timer.Stop()
	select {
	case got, ok := <-p.answers:
		if !ok {
			p.stop()
			return outcome{Error: "node ended within the scenario"}
		}
		return got
	case <-timer.C:
		p.stop()
		return outcome{Error: "the scenario hangs"}
	}
}

func (p *player) start() error {
	cmd := exec.Command("node", "run.js", p.server, "-")
	cmd.Dir, cmd.Stderr = p.dir, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.in, p.answers = cmd, in, make(chan outcome)
	go listen(out, p.answers)
	return nil
}

// listen reads answers until the process ends.
func listen(out io.Reader, answers chan<- outcome) {
	defer close(answers)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		got := outcome{}
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			got.Error = "run.js says: " + lines.Text()
		}
		answers <- got
	}
}

func (p *player) stop() {
	if p.cmd == nil {
		return
	}
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	for range p.answers { // until listen has ended
	}
	_ = p.cmd.Wait()
	p.cmd = nil
}

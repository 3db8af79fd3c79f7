package spawn

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	rempart "rempart/config"
)

func TestAwaitTellsWhyAProcessEnded(t *testing.T) {
	p, err := launch(filepath.Join(t.TempDir(), "log"), syscall.SIGTERM, nil, "sh", "-c", "echo the reason; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.await(t.Context(), func() error { return os.ErrNotExist })
	if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v", err)
	}
	p.stop()
}

func TestStopEndsAProcess(t *testing.T) {
	p, err := launch(filepath.Join(t.TempDir(), "log"), syscall.SIGTERM, nil, "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	p.stop()
	if state := p.cmd.ProcessState; state == nil || state.Success() {
		t.Errorf("state %v", state)
	}
}

func TestStartRefusesUnknownEngines(t *testing.T) {
	keep := t.TempDir()
	s, err := Start(t.Context(), nil, Options{Engines: []string{"oracle"}, Binary: "/bin/true", Keep: keep})
	if err == nil {
		s.Stop()
		t.Error("an unknown engine was started")
	}
}

// What a load run sets must be a configuration that rempart accepts.
func TestConfigIsAccepted(t *testing.T) {
	for _, database := range []string{"", "postgres:///rempart?host=/tmp/x&user=rempart"} {
		file, err := config{Dir: filepath.Join(t.TempDir(), "data"), Client: "127.0.0.1:1", Database: database}.write()
		if err != nil {
			t.Fatal(err)
		}
		c, err := rempart.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Registration.Open || c.Limits.Enabled || c.Database.URL != database || c.Listen.Metrics != "" || c.Listen.Client != "127.0.0.1:1" {
			t.Errorf("%+v", c)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rempart/config"
	"rempart/internal/testkit/pgtest"
)

// A server whose database is gone while its keys are there is not made anew by a start, but by a command of its own.
func TestLostDatabaseIsNotMadeAnewSilently(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		path := filepath.Join(t.TempDir(), "data", config.DefaultFile)
		if _, err := config.Create(path, "test.example.org"); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(url, "://") {
			t.Setenv("REMPART_DATABASE_URL", url)
		} else {
			t.Setenv("REMPART_DATABASE_PATH", url)
		}
		freePorts(t)
		startOnce := func() error {
			cfg, err := config.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := start(t.Context(), cfg, console{out: os.Stderr, err: os.Stderr})
			if err == nil {
				err = s.stop()
			}
			return err
		}
		if err := startOnce(); err != nil {
			t.Fatal("a first start: ", err)
		}
		key := filepath.Join(filepath.Dir(path), "ledger.key")
		if code, _, errs := runCommand("", "database", "new", "-config", path); code != 1 || !strings.Contains(errs, "nothing was changed") || !exists(key) {
			t.Fatalf("over a server's data: %d %s", code, errs)
		}
		if strings.Contains(url, "://") {
			t.Setenv("REMPART_DATABASE_URL", pgtest.New(t))
		} else {
			for _, end := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(url + end) // not all are there
			}
		}
		for range 2 { // the first attempt leaves nothing that lets the second pass
			if err := startOnce(); err == nil || statusOf(err) != statusMisconfigured || !strings.Contains(err.Error(), "rempart database new") {
				t.Fatalf("without its database: %v", err)
			}
		}
		if code, _, errs := runCommand("long enough\n", "user", "create", "-config", path, "alice"); code != statusMisconfigured {
			t.Errorf("a command made a database: %d %s", code, errs)
		}
		code, out, errs := runCommand("", "database", "new", "-config", path)
		if code != 0 || !strings.Contains(out, "ledger.key.until-") || exists(key) || !exists(filepath.Join(filepath.Dir(path), "signing.key")) {
			t.Fatalf("made anew: %d %s %s", code, out, errs)
		}
		if err := startOnce(); err != nil || !exists(key) {
			t.Errorf("after that: %v", err)
		}
		if code, out, errs := runCommand("", "ledger", "verify", "-config", path); code != 0 {
			t.Errorf("the new record: %d %s %s", code, out, errs)
		}
	})
}

// What a person has to mend has an exit status of its own, which the unit names; what may pass by itself has not.
func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "r.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"an unknown key":               {"roms: {a: 1}\n", 78},
		"a policy that is none":        {"policy: {file: r.yaml}\n", 78},
		"a certificate that is none":   {"listen: {client: \"127.0.0.1:0\", metrics: \"\", client_tls: true, tls_cert: r.yaml, tls_key: r.yaml}\n", 78},
		"a database that is away":      {"database: {url: \"postgres:///x?host=/nowhere\"}\n", 1},
		"an address that others have":  {"listen: {client: \"unix:" + dir + "/none/s\", metrics: \"\"}\n", 1},
		"a data folder that is a file": {"server: {data_dir: r.yaml}\n", 1},
	} {
		if code, _, errs := runCommand("", "serve", "-config", write(c.text)); code != c.want {
			t.Errorf("%s: %d, not %d: %s", name, code, c.want, errs)
		}
	}
	if code, _, _ := runCommand("", "check-config", "-config", filepath.Join(dir, "none.yaml")); code != 78 {
		t.Errorf("no configuration: %d", code)
	}
	unit, err := os.ReadFile("../../docs/operate/rempart.service")
	if err != nil || !strings.Contains(string(unit), "\nRestartPreventExitStatus=2 78\n") {
		t.Errorf("the unit restarts for ever: %v", err)
	}
}

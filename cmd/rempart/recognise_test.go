package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rempart/config"
)

// lived makes the data of a server, now stopped, with an account that made a room.
func lived(t *testing.T) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data", config.DefaultFile)
	if _, err := config.Create(path, "test.example.org"); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen.Client, cfg.Listen.Metrics = "127.0.0.1:0", ""
	if code, _, errs := runCommand("long enough\n", "user", "create", "-config", path, "alice"); code != 0 {
		t.Fatal(errs)
	}
	s, err := start(t.Context(), cfg, console{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal("an account that was made before the first start:", err)
	}
	token := login(t, s.clientAddress(), "alice", "long enough")
	resp, err := http.Post(s.clientAddress()+"/_matrix/client/v3/createRoom?access_token="+token, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(resp.Body.Close(), s.stop()); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.Status, err)
	}
	return cfg
}

// refused starts a server that must not start, and returns what it says.
func refused(t *testing.T, cfg *config.Config) string {
	t.Helper()
	s, err := start(context.Background(), cfg, console{out: io.Discard, err: io.Discard})
	if err == nil {
		t.Error("it started", s.stop())
		return ""
	}
	return err.Error()
}

func TestNameCannotChangeOnceAccountsExist(t *testing.T) {
	cfg := lived(t)
	cfg.Server.Name = "other.example.org"
	if said := refused(t, cfg); !strings.Contains(said, "test.example.org, and server.name") {
		t.Error(said)
	}
	cfg.Server.Tenants = []config.Tenant{{Name: "test.example.org", SigningKey: cfg.Server.SigningKey}}
	cfg.Server.SigningKey = filepath.Join(cfg.Server.DataDir, "other.key")
	s, err := start(context.Background(), cfg, console{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal("as a tenant:", err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestLostKeysAreNotReplacedUnasked(t *testing.T) {
	cfg := lived(t)
	ledger := ledgerKey(cfg)
	for _, file := range []string{cfg.Server.SigningKey, ledger} {
		if err := os.Rename(file, file+".away"); err != nil {
			t.Fatal(err)
		}
		if said := refused(t, cfg); !strings.Contains(said, file+" is missing") {
			t.Errorf("without %s: %s", file, said)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s was made anew", file)
		}
		if err := os.Rename(file+".away", file); err != nil {
			t.Fatal(err)
		}
	}
	public, err := os.ReadFile(ledger + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ledger+".pub", []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := refused(t, cfg); !strings.Contains(said, "do not belong together") {
		t.Error(said)
	}
	if err := os.WriteFile(ledger+".pub", public, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runCommand("", "key", "rotate", "-lost", "-config", cfg.File); code != 1 || !strings.Contains(errs, "not lost") {
		t.Errorf("%d %s", code, errs)
	}
	if err := os.Remove(cfg.Server.SigningKey); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runCommand("", "key", "rotate", "-config", cfg.File); code != 1 || !strings.Contains(errs, "-lost") {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs := runCommand("", "key", "rotate", "-lost", "-config", cfg.File); code != 0 {
		t.Errorf("%d %s", code, errs)
	}
	if s, err := start(context.Background(), cfg, console{out: io.Discard, err: io.Discard}); err != nil || s.stop() != nil {
		t.Error("with the new key:", err)
	}
}

func TestTakenAddressAndUnusableFolderSaySo(t *testing.T) {
	_, address := served(t, func(*config.Config) {})
	path := filepath.Join(t.TempDir(), config.DefaultFile)
	if _, err := config.Create(path, "b.example.org"); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen.Client, cfg.Listen.Metrics = strings.TrimPrefix(address, "http://"), ""
	if said := refused(t, cfg); !strings.Contains(said, "listen.client") || !strings.Contains(said, "another program") {
		t.Error(said)
	}
	cfg.Server.DataDir = path // a file
	if said := refused(t, cfg); !strings.Contains(said, "the data folder "+path) {
		t.Error(said)
	}
}

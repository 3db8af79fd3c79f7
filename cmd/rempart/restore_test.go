package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rempart/config"
	"rempart/storage"
)

// A backup of a server whose configuration names its folders is put into another folder, and leaves the first one alone.
func TestRestoreLeavesTheFirstServerAlone(t *testing.T) {
	dir := t.TempDir()
	home, etc := filepath.Join(dir, "home"), filepath.Join(dir, "etc", "named.yaml")
	text := "server:\n  name: test.example.org\n  data_dir: " + home + "   # as a system has it\ndatabase: {path: DB}\n"
	if err := os.MkdirAll(filepath.Dir(etc), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(etc, strings.ReplaceAll(text, "DB", filepath.Join(home, "own.db")))
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(etc)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runCommand("long enough\n", "user", "create", "-config", etc, "alice"); code != 0 {
		t.Fatal(errs)
	}
	if _, err := signingKeys(cfg, nil); err != nil {
		t.Fatal(err)
	}
	epoch := func(file string) int64 {
		t.Helper()
		db, err := storage.Open(t.Context(), storage.Options{URL: file})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if _, err := db.FindUser(t.Context(), "@alice:test.example.org"); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		return db.Epoch()
	}
	before := epoch(cfg.Database.Path)
	saved, again := filepath.Join(dir, "saved"), filepath.Join(dir, "again")
	if code, _, errs := runCommand("", "backup", "-config", etc, saved); code != 0 {
		t.Fatal(errs)
	}
	code, _, errs := runCommand("", "restore", saved, again)
	if code != 1 || !strings.Contains(errs, "database.path") || exists(again) {
		t.Errorf("a database outside of the new folder: %d %s", code, errs)
	}
	t.Setenv("REMPART_DATABASE_PATH", "own.db")
	code, out, errs := runCommand("", "restore", saved, again)
	if code != 0 || !strings.Contains(out, "data_dir") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	if epoch(filepath.Join(again, "own.db")) == before || epoch(cfg.Database.Path) != before {
		t.Error("the wrong database began anew")
	}
	if code, _, errs := runCommand("", "restore", saved, again); code != 1 || !strings.Contains(errs, "there already") {
		t.Errorf("over a server: %d %s", code, errs)
	}
	if code, _, errs := runCommand("", "restore", saved, home); code != 1 || !strings.Contains(errs, "there already") {
		t.Errorf("over the first: %d %s", code, errs)
	}
}

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rempart/config"
	"rempart/core/media"
	"rempart/internal/httpx"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "rempart serve"},
		{[]string{"user", "dance"}, 2, "rempart user lock"},
		{[]string{"backup", "a", "b"}, 2, "2 arguments, where it takes 1"},
		{[]string{"backup", "-media=perhaps", "a"}, 2, "invalid boolean value"},
		{[]string{"dance"}, 2, "rempart serve"},
		{[]string{"serve", "-x"}, 2, "usage: rempart serve"},
		{[]string{"user", "create"}, 2, "usage: rempart user create"},
		{[]string{"version"}, 0, ""},
	} {
		code, _, errs := runCommand("", c.args...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: %d %s", c.args, code, errs)
		}
	}
}

func TestHelpIsNoMistake(t *testing.T) {
	for _, c := range []struct {
		args       []string
		want, lack string
	}{
		{[]string{"help"}, "rempart serve", "configuration file;"},
		{[]string{"help", "user"}, "rempart user lock", "rempart serve"},
		{[]string{"backup", "-h"}, "copy the files that people uploaded too", "rempart restore"},
		{[]string{"ledger", "verify", "--help"}, "usage: rempart ledger verify", "rempart serve"},
	} {
		code, out, errs := runCommand("", c.args...)
		if code != 0 || errs != "" || !strings.Contains(out, c.want) || strings.Contains(out, c.lack) {
			t.Errorf("%v: %d %s %s", c.args, code, out, errs)
		}
	}
	for _, cmd := range commands() {
		if code, _, _ := runCommand("", append(fields(cmd.name), "-h")...); code != 0 && cmd.name != "sfu-child" {
			t.Errorf("%s -h: %d", cmd.name, code)
		}
	}
}

func TestAccountNames(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"alice", "@alice:x.org"}, {"@alice", "@alice:x.org"}, {"@alice:y.org", "@alice:y.org"},
		{"Alice", ""}, {"", ""}, {"a b", ""}, {"alice:no name", ""},
	} {
		if got, err := accountName(c.in, "x.org"); string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q %v", c.in, got, err)
		}
	}
}

func TestPasswordFromAPipe(t *testing.T) {
	for in, want := range map[string]string{"long enough\n": "long enough", "long enough": "long enough", "short\n": "", "": ""} {
		got, err := askPassword(console{in: strings.NewReader(in), out: new(bytes.Buffer), err: new(bytes.Buffer)})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
}

func TestPasswordsStayOutOfArguments(t *testing.T) {
	for _, in := range []string{"postgres://u:s3cret@h/db?sslmode=disable", "postgres://u@h/db?password=s3cret&sslmode=disable"} {
		address, password, err := withoutPassword(in)
		if err != nil || password != "s3cret" || address != "postgres://u@h/db?sslmode=disable" {
			t.Errorf("%s: %q %q %v", in, address, password, err)
		}
	}
}

func TestBackupAndRestore(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s, _ := served(t, func(*config.Config) {})
	if code, _, errs := runCommand("long enough\n", "user", "create", "-config", s.config.File, "alice"); code != 0 {
		t.Fatal(errs)
	}
	running, err := storage.Open(ctx, storage.Options{URL: s.config.Database.Path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Close() }()
	saved, again := filepath.Join(dir, "saved"), filepath.Join(dir, "again")
	store, err := media.NewDisk(s.config.Media.Path)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := store.Put(ctx, 1, strings.NewReader("a picture"))
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runCommand("", "backup", "-config", s.config.File, saved); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := runCommand("", "backup", "-config", s.config.File, saved); code != 1 || !strings.Contains(errs, "new folder") {
		t.Errorf("over an old backup: %d %s", code, errs)
	}
	if code, _, errs := runCommand("", "restore", saved, again); code != 0 {
		t.Fatal(errs)
	}
	for _, name := range []string{"signing.key", "ledger.key", "ledger.key.pub", config.DefaultFile} {
		a, _ := os.ReadFile(filepath.Join(s.config.Server.DataDir, name))
		b, _ := os.ReadFile(filepath.Join(again, name))
		if len(a) == 0 || !bytes.Equal(a, b) {
			t.Errorf("%s differs after the restore", name)
		}
	}
	files, err := media.NewDisk(filepath.Join(again, "media"))
	if err != nil {
		t.Fatal(err)
	}
	if f, err := files.Open(ctx, 1, picture.Digest); err != nil {
		t.Errorf("an uploaded file is lost: %v", err)
	} else {
		_ = f.Close()
	}
	restored, err := storage.Open(ctx, storage.Options{URL: filepath.Join(again, "rempart.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = restored.Close() }()
	if _, err := restored.FindUser(ctx, "@alice:test.example.org"); err != nil {
		t.Errorf("the account is lost: %v", err)
	}
	if restored.Epoch() == running.Epoch() {
		t.Error("the restored database goes on in the old epoch")
	}
	if err := os.WriteFile(filepath.Join(saved, "signing.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runCommand("", "restore", saved, filepath.Join(dir, "third")); code != 1 || !strings.Contains(errs, "damaged") {
		t.Errorf("a damaged backup: %d %s", code, errs)
	}
}

func TestBackupAndRestoreOnPostgres(t *testing.T) {
	if os.Getenv("REMPART_TEST_ENGINES") == "sqlite" {
		t.Skip("REMPART_TEST_ENGINES=sqlite")
	}
	ctx, dir := context.Background(), t.TempDir()
	t.Setenv("REMPART_DATABASE_URL", pgtest.New(t))
	path := filepath.Join(dir, "data", config.DefaultFile)
	if _, err := config.Create(path, "test.example.org"); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	saved, again := filepath.Join(dir, "saved"), filepath.Join(dir, "again")
	if code, _, errs := runCommand("long enough\n", "user", "create", "-config", path, "alice"); code != 0 {
		t.Fatal(errs)
	}
	if _, err := signingKeys(cfg, nil); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runCommand("", "backup", "-config", path, saved); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := runCommand("", "restore", saved, again); code != 1 || !strings.Contains(errs, "tables already") || exists(again) {
		t.Errorf("into a database that is not empty: %d %s", code, errs)
	}
	empty := pgtest.New(t)
	t.Setenv("REMPART_DATABASE_URL", empty)
	if code, _, errs := runCommand("", "restore", saved, again); code != 0 {
		t.Fatal(errs)
	}
	restored, err := storage.Open(ctx, storage.Options{URL: empty})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = restored.Close() }()
	if _, err := restored.FindUser(ctx, "@alice:test.example.org"); err != nil || restored.Epoch() < 1000 {
		t.Errorf("after the restore: epoch %d, %v", restored.Epoch(), err)
	}
}

func TestSpecCoverageIsCurrent(t *testing.T) {
	code, page, errs := runCommand("", "docs", "spec-coverage", "-operations", "../../docs/spec/endpoints.tsv")
	if code != 0 {
		t.Fatal(errs)
	}
	if !strings.Contains(page, "- [x] `GET /_matrix/client/versions` getVersions") || !strings.Contains(page, "- `GET /ready`") {
		t.Errorf("the page does not know the routes:\n%.400s", page)
	}
	saved, err := os.ReadFile("../../docs/spec-coverage.md")
	if err != nil || string(saved) != page {
		t.Errorf("docs/spec-coverage.md is out of date (%v): run make docs", err)
	}
}

func TestEveryRouteHasItsRateLimit(t *testing.T) {
	rates := httpx.DefaultRates()
	for _, r := range allRoutes() {
		if _, ok := rates[r.Class]; !ok {
			t.Errorf("%s %s is of the class %q, which has no limit", r.Method, r.Pattern, r.Class)
		}
	}
}

func TestUserCreate(t *testing.T) {
	s, _ := served(t, func(*config.Config) {})
	for _, c := range []struct {
		name, password string
		code           int
		want           string
	}{
		{"alice", "long enough", 0, "@alice:test.example.org can sign in"},
		{"alice", "long enough", 1, "taken"},
		{"@bob:elsewhere.org", "long enough", 1, "no server name of this installation"},
		{"bob", "short", 1, "too short"},
	} {
		code, out, errs := runCommand(c.password+"\n", "user", "create", "-admin", "-config", s.config.File, c.name)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%v: %d %s%s", c, code, out, errs)
		}
	}
	db, err := storage.Open(context.Background(), storage.Options{URL: s.config.Database.Path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if user, err := db.FindUser(context.Background(), "@alice:test.example.org"); err != nil || !user.Flags.Has(storage.UserAdmin) {
		t.Errorf("%+v %v", user, err)
	}
}

func TestDoctorFindsALostKey(t *testing.T) {
	s, _ := served(t, func(*config.Config) {})
	if code, out, _ := runCommand("", "doctor", "-config", s.config.File); code != 0 || strings.Contains(out, "problem") {
		t.Errorf("a healthy server: %d\n%s", code, out)
	}
	if err := os.Remove(s.config.Server.SigningKey); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := runCommand("", "doctor", "-config", s.config.File); code != 1 || !strings.Contains(out, "put the key back from a backup") {
		t.Errorf("a lost key: %d\n%s", code, out)
	}
}

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rempart/config"
)

// must runs a command that has to succeed and returns what it printed.
func must(t *testing.T, in string, args ...string) string {
	t.Helper()
	code, out, errs := runCommand(in, args...)
	if code != 0 {
		t.Fatalf("%v: %s", args, errs)
	}
	return out
}

func TestAccountsByCommand(t *testing.T) {
	s, address := served(t, func(*config.Config) {})
	user := func(in string, args ...string) string {
		t.Helper()
		return must(t, in, append([]string{"user", args[0], "-config", s.config.File}, args[1:]...)...)
	}
	user("long enough\n", "create", "alice")
	user("long enough\n", "create", "-admin", "boss")
	if out := user("", "list"); !strings.Contains(out, "@alice:test.example.org\t") || !strings.Contains(out, "\tadmin") {
		t.Error(out)
	}
	login := func(password string) int {
		t.Helper()
		body := `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"` + password + `"}`
		req, err := http.NewRequestWithContext(t.Context(), "POST", address+"/_matrix/client/v3/login", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := login("long enough"); got != 200 {
		t.Fatal(got)
	}
	user("", "lock", "alice")
	if out := user("", "show", "alice"); !strings.Contains(out, "marks: locked") || !strings.Contains(out, "device ") {
		t.Error(out)
	}
	if got := login("long enough"); got != 401 {
		t.Errorf("a locked account: %d", got)
	}
	user("", "unlock", "alice")
	user("another one\n", "reset-password", "alice")
	if got := login("another one"); got != 200 {
		t.Error(got)
	}
	if out := user("", "reset-password", "-link", "alice"); !strings.HasPrefix(out, "https://test.example.org/_rempart/account/activate?token=") {
		t.Error(out)
	}
	if _, _, errs := runCommand("", "user", "reset-password", "-config", s.config.File, "-link", "alice"); !strings.Contains(errs, "public_url") {
		t.Errorf("nothing says where the link leads: %s", errs)
	}
	user("", "renew", "-days", "3", "alice")
	_, ends, _ := strings.Cut(user("", "show", "alice"), "ends: ")
	if code, _, errs := runCommand("", "user", "renew", "-config", s.config.File, "-days", "-3", "alice"); code != 1 || !strings.Contains(errs, "-days") {
		t.Error(code, errs)
	}
	if _, now, _ := strings.Cut(user("", "show", "alice"), "ends: "); ends == "" || now != ends {
		t.Errorf("ends %q, want %q", now, ends)
	}
	user("", "renew", "-days", "0", "alice")
	if out := user("", "show", "alice"); strings.Contains(out, "ends:") {
		t.Errorf("an account that never ends: %s", out)
	}
	must(t, "", "mission", "grant", "-config", s.config.File, "-country", "BE", "-from", "2026-01-05", "-to", "2026-01-09", "alice")
	if out := must(t, "", "mission", "list", "-config", s.config.File); !strings.Contains(out, "\trempart mission grant\t") {
		t.Errorf("who granted: %s", out)
	}
	user("", "deactivate", "alice")
	if got := login("another one"); got != 403 {
		t.Error(got)
	}
	if code, _, errs := runCommand("", "user", "lock", "-config", s.config.File, "nobody"); code != 1 || !strings.Contains(errs, "no such user") {
		t.Error(code, errs)
	}
}

func TestImportByCommand(t *testing.T) {
	s, _ := served(t, func(*config.Config) {})
	list := filepath.Join(t.TempDir(), "people.csv")
	write := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("username,colour\nanne,red\n")
	if code, _, errs := runCommand("", "user", "import", "-config", s.config.File, list); code != 1 || !strings.Contains(errs, `no column "colour"`) {
		t.Error(code, errs)
	}
	links := filepath.Join(t.TempDir(), "links.csv")
	write("username,email\nanne,anne@example.org\n")
	if code, out, errs := runCommand("", "user", "import", "-config", s.config.File, "-mail", "-links", links, list); code != 1 || out != "" {
		t.Error("letters where none can be sent:", code, out, errs)
	}
	if _, err := os.Stat(links); !os.IsNotExist(err) {
		t.Error("a file of links without links:", err) // it would stand in the way of the next attempt
	}
	write("username\ncarl\n")
	must(t, "", "user", "import", "-config", s.config.File, "-links", links, list)
	if text, err := os.ReadFile(links); err != nil || strings.Count(string(text), "@carl:test.example.org,") != 1 {
		t.Errorf("links: %s %v", text, err)
	}
	write("\ufeffUsername,email,displayname\nanne,Anne@example.org,\"Martin, Anne\"\nben,,\n")
	out := must(t, "", "user", "import", "-config", s.config.File, list)
	if strings.Count(out, "/_rempart/account/activate?token=") != 2 || !strings.Contains(out, "@anne:test.example.org,") {
		t.Error(out)
	}
	if out := must(t, "", "user", "show", "-config", s.config.File, "anne"); !strings.Contains(out, "anne@example.org") || !strings.Contains(out, "Martin, Anne") || !strings.Contains(out, "password: none") {
		t.Error(out)
	}
}

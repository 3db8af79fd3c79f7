package clients

import (
	"embed"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"rempart/internal/testkit/live"
)

//go:embed browser/package.json browser/package-lock.json browser/run.js browser/page.js browser/page.html
var browserFiles embed.FS

// TestBrowser plays the first hour of two people at a web client in Chromium: they register, talk in an encrypted room,
// send a picture, reload, and one of them leaves. REMPART_SCREENSHOTS names a folder that keeps the screenshots.
func TestBrowser(t *testing.T) {
	wanted(t)
	chromium := chromiumPath(t)
	dir := project(t, browserFiles, "browser")
	shots := os.Getenv("REMPART_SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	must(t, os.MkdirAll(shots, 0o750))
	server := live.Start(t, live.Options{})
	cmd := exec.CommandContext(t.Context(), "node", "run.js", server.URL, shots, chromium)
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func chromiumPath(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	t.Fatal("Chromium is needed for the web client: `apt-get install chromium`, or REMPART_TEST_CLIENTS=off leaves the real clients out")
	return ""
}

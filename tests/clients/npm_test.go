package clients

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// oldestNode is the first major version of Node in which the scenarios run.
const oldestNode = 20

// wanted skips a test that needs Node, loudly asked for by REMPART_TEST_CLIENTS=off, and fails it when Node is missing.
func wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("REMPART_TEST_CLIENTS") == "off" {
		t.Skip("REMPART_TEST_CLIENTS=off: the real clients are left out")
	}
	out, err := exec.CommandContext(t.Context(), "node", "--version").Output()
	if err != nil {
		t.Fatalf("node is needed for the real clients: `apt-get install nodejs npm`, or REMPART_TEST_CLIENTS=off leaves them out (%v)", err)
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), ".")
	if major, _ := strconv.Atoi(text); major < oldestNode {
		t.Fatalf("node %s is too old for the real clients: version %d or later is needed, or REMPART_TEST_CLIENTS=off", out, oldestNode)
	}
}

// project copies a folder of JavaScript to a fresh place, beside the packages its lock file names.
func project(t *testing.T, files embed.FS, folder string) string {
	t.Helper()
	sources, err := fs.Sub(files, folder)
	must(t, err)
	packages, err := installed(t.Context(), sources)
	must(t, err)
	dir := filepath.Join(t.TempDir(), folder)
	must(t, os.CopyFS(dir, sources))
	must(t, os.Symlink(packages, filepath.Join(dir, "node_modules")))
	return dir
}

// installed gives the node_modules of a package.json and its lock file. They are kept in the user's cache, by the hash
// of the lock file, and made by npm when missing.
func installed(ctx context.Context, sources fs.FS) (string, error) {
	hash := sha256.New()
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "rempart-tests")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(cache, "installing-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := fs.ReadFile(sources, name)
		if err != nil {
			return "", err
		}
		_, _ = hash.Write(data)
		if err := os.WriteFile(filepath.Join(work, name), data, 0o600); err != nil {
			return "", err
		}
	}
	ready := filepath.Join(cache, hex.EncodeToString(hash.Sum(nil)[:8]))
	if _, err := os.Stat(ready); err == nil {
		return filepath.Join(ready, "node_modules"), nil
	}
	if err := npmInstall(ctx, work); err != nil {
		return "", err
	}
	// Another test process may have been quicker.
	if err := os.Rename(work, ready); err != nil && !os.IsExist(err) {
		return "", err
	}
	return filepath.Join(ready, "node_modules"), nil
}

func npmInstall(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm cannot install the real clients; REMPART_TEST_CLIENTS=off leaves them out: %w\n%s", err, out)
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

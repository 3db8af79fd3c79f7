package media

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

const (
	crashURL = "REMPART_MEDIA_CRASH_URL" // set in the process that is killed
	crashDir = "REMPART_MEDIA_CRASH_DIR"
)

// TestKilledProcessesKeepWhatTheyAcknowledged kills an uploading process again and again, sweeps what it left, and
// reads all that it had acknowledged.
func TestKilledProcessesKeepWhatTheyAcknowledged(t *testing.T) {
	kills := 3
	if os.Getenv("REMPART_PROVE") == "1" {
		kills = 50
	}
	pgtest.EachFilled(t, storagetest.Migrate, func(t *testing.T, url string) {
		dir := t.TempDir()
		acknowledged := map[string]string{} // digest by id
		for round := range kills {
			uploadAndKill(t, url, dir, 20+round*7, acknowledged)
			db := storagetest.Open(t, storage.Options{URL: url})
			r := newRig(t, db, dir, nil)
			r.ageAll()
			swept := r.sweep()
			for id, digest := range acknowledged {
				if data, err := r.content(Address{"hs1", id}); err != nil || hexDigest(data) != digest {
					t.Fatalf("round %d: %s was acknowledged, but %v (%d bytes)", round, id, err, len(data))
				}
			}
			r.Close()
			t.Logf("round %d: %d acknowledged so far, %d files swept", round, len(acknowledged), swept)
		}
	})
}

func hexDigest(data []byte) string {
	d := sha256.Sum256(data)
	return hex.EncodeToString(d[:])
}

// uploadAndKill starts a process that uploads and kills it when it has acknowledged enough.
func uploadAndKill(t *testing.T, url, dir string, enough int, acknowledged map[string]string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	child.Env = append(os.Environ(), crashURL+"="+url, crashDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	got := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 4 && f[0] == "ack" && f[3] == "." { // else cut short by the kill
			acknowledged[f[1]] = f[2]
			if got++; got == enough {
				_ = child.Process.Kill()
			}
		}
	}
	if err := child.Wait(); err == nil || got < enough {
		t.Fatalf("the process ended by itself after %d uploads: %v", got, err)
	}
}

// TestCrashChild uploads until it is killed. Every third file has content that others have too.
func TestCrashChild(t *testing.T) {
	url := os.Getenv(crashURL)
	if url == "" {
		t.Skip("runs in the process that is killed")
	}
	r := newRig(t, storagetest.Open(t, storage.Options{URL: url}), os.Getenv(crashDir), func(o *Options) { o.Quota = 0 })
	var count atomic.Uint64
	failed := make(chan error)
	for worker := range 4 {
		go func() {
			for {
				n := count.Add(1)
				if n%3 == 0 {
					n = 3
				}
				data := someBytes(int(n%7)*50_000+10, n)
				if n != 3 {
					copy(data, fmt.Sprint(os.Getpid(), n))
				}
				a, err := r.Upload(context.Background(), user(int64(worker)), file(data))
				if err != nil {
					failed <- err
					return
				}
				_, _ = io.WriteString(os.Stdout, fmt.Sprintf("ack %s %s .\n", a.ID, hexDigest(data)))
			}
		}()
	}
	t.Fatal(<-failed)
}
